/**
 * What the shells are told. Both ask `oncebox __complete` for what may stand at the cursor: a line each, with a tab and a
 * description; `:files` and `:directories` ask for the shell's own.
 */
export const completionScripts = {
  bash: `# bash completion for oncebox; in ~/.bashrc: source <(oncebox completion bash)
_oncebox() {
  local line=\${COMP_LINE:0:COMP_POINT} candidate wants=''
  local word=\${line##*[[:space:]]} head=''
  COMPREPLY=()
  # Readline begins a new word after ":" and "=", and puts a candidate in the place of that part alone.
  if [[ $word == *[:=]* && $COMP_WORDBREAKS == *[:=]* ]]; then
    head=\${word%"\${word##*[:=]}"}
  fi
  while IFS= read -r candidate; do
    case $candidate in
      :files | :directories) wants=\${candidate#:} ;;
      *) COMPREPLY+=("\${candidate%%$'\\t'*}") ;;
    esac
  done < <("$1" __complete --line "$line" 2>/dev/null)
  COMPREPLY=("\${COMPREPLY[@]#"$head"}")
  if [[ \${#COMPREPLY[@]} -eq 0 ]]; then
    case $wants in
      files) compopt -o default 2>/dev/null ;;
      directories) compopt -o dirnames 2>/dev/null ;;
    esac
  elif [[ $wants == files && -n $word ]]; then
    mapfile -t -O "\${#COMPREPLY[@]}" COMPREPLY < <(compgen -f -- "$word")
  elif [[ \${#COMPREPLY[@]} -eq 1 && \${COMPREPLY[0]} == *= ]]; then
    compopt -o nospace 2>/dev/null
  fi
}
complete -F _oncebox oncebox
`,
  zsh: `#compdef oncebox
# zsh completion for oncebox; in ~/.zshrc, after compinit: source <(oncebox completion zsh)
_oncebox() {
  local line wants=''
  local -a answer plain open
  answer=("\${(@f)$("$words[1]" __complete -- "\${(@)words[2,CURRENT-1]}" "$PREFIX" 2>/dev/null)}")
  for line in "\${answer[@]}"; do
    case $line in
      :files | :directories) wants=\${line#:} ;;
      '') ;;
      *)
        # _describe takes what follows the first ":" as the description.
        local value=\${\${line%%$'\\t'*}//:/\\\\:} about=\${line#*$'\\t'}
        if [[ $value == *= ]]; then open+=("$value:$about"); else plain+=("$value:$about"); fi
        ;;
    esac
  done
  (( $#plain )) && _describe -t values oncebox plain
  (( $#open )) && _describe -t values oncebox open -S ''
  case $wants in
    files) _files ;;
    directories) _files -/ ;;
  esac
}
if [[ $funcstack[1] == _oncebox ]]; then _oncebox "$@"; else compdef _oncebox oncebox; fi
`,
} as const;
