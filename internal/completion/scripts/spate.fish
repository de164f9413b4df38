# Completion of spate for fish. Once:
#   spate completion fish >~/.config/fish/completions/spate.fish
function __spate_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l program $words[1]
    set -e words[1]
    for line in ($program complete -- $words "$current" 2>/dev/null)
        if test "$line" = :files
            set -l before (string match -r -- '^--[a-z-]+=' "$current")
            for file in (__fish_complete_path (string replace -r -- '^--[a-z-]+=' '' "$current"))
                echo "$before"$file
            end
        else
            echo $line
        end
    end
end
complete -c spate -f -a '(__spate_complete)'
