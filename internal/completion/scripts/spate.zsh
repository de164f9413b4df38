#compdef spate
# Completion of spate for zsh. In ~/.zshrc, after compinit:
#   source <(spate completion zsh)
_spate() {
  local line word help files=
  local -a candidates
  while IFS= read -r line; do
    if [[ $line == :files ]]; then
      files=yes
      continue
    fi
    word=${line%%$'\t'*} help=${line#*$'\t'}
    candidates+=("${word//:/\\:}:$help")
  done < <("${words[1]/#\~/$HOME}" complete -- "${(@Q)words[2,CURRENT]}" 2>/dev/null)
  if (( ${#candidates} )); then
    _describe -t spate spate candidates
  fi
  if [[ -n $files ]]; then
    if [[ $PREFIX == --*=* ]]; then
      compset -P '*='
    fi
    _files
  fi
}
if [[ ${funcstack[1]} == _spate ]]; then
  _spate "$@"
else
  compdef _spate spate
fi
