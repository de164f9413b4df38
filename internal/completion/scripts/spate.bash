# Completion of spate for bash. In ~/.bashrc:
#   eval "$(spate completion bash)"
_spate() {
  local IFS=$' \t\n' line word prefix='' cur=${COMP_WORDS[COMP_CWORD]}
  COMPREPLY=()
  # Where bash takes words apart at "=", what stands before it is not part of the word.
  case $cur in
    '=') cur='' ;;
    --*=*) prefix=${cur%%=*}=; cur=${cur#*=} ;;
  esac
  while IFS= read -r line; do
    if [[ $line == :files ]]; then
      compopt -o filenames 2>/dev/null # bash before 4 has none
      while IFS= read -r word; do
        COMPREPLY+=("$prefix$word")
      done < <(compgen -f -- "$cur")
      continue
    fi
    word=${line%%$'\t'*}
    [[ -n $prefix ]] || word=${word#--*=}
    COMPREPLY+=("$word")
  done < <("${COMP_WORDS[0]/#\~/$HOME}" complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -F _spate spate
