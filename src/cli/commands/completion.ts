import { Argument, type Command } from 'commander';
import { print } from '../output.ts';

/*
 * The scripts ask the program itself, by the name under which it was called: `evolayer complete -- WORDS`
 * prints what the last word can become, one a line, with a tab before the description. Where it prints
 * nothing, files are offered.
 */

const BASH = `_evolayer() {
  local IFS=$'\\n'
  COMPREPLY=($("\${COMP_WORDS[0]}" complete -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null | cut -f 1))
}
complete -o default -F _evolayer evolayer`;

const ZSH = `#compdef evolayer
_evolayer() {
  local line
  local -a found
  for line in "\${(@f)$("\${words[1]}" complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
    [[ -n $line ]] && found+=("\${\${line%%$'\\t'*}//:/\\\\:}:\${line#*$'\\t'}")
  done
  if (( $#found )); then _describe evolayer found; else _files; fi
}
if [[ $funcstack[1] == _evolayer ]]; then _evolayer "$@"; else compdef _evolayer evolayer; fi`;

const FISH = `function __evolayer_complete
    set -l before (commandline -opc)
    set -l word (commandline -ct)
    set -l found ($before[1] complete -- $before[2..] "$word" 2>/dev/null)
    if test (count $found) -gt 0
        printf '%s\\n' $found
    else
        __fish_complete_path "$word"
    end
end
complete -c evolayer -f -a '(__evolayer_complete)'`;

const SCRIPTS = { bash: BASH, zsh: ZSH, fish: FISH } as const;

const NOTES = `
  bash   eval "$(evolayer completion bash)"        in ~/.bashrc
  zsh    eval "$(evolayer completion zsh)"         in ~/.zshrc, after compinit
  fish   evolayer completion fish | source         in ~/.config/fish/config.fish`;

export const completionCommand = (program: Command) =>
  program
    .command('completion')
    .addArgument(new Argument('<shell>').choices(Object.keys(SCRIPTS)))
    .addHelpText('after', NOTES)
    .action((shell: keyof typeof SCRIPTS) => print(SCRIPTS[shell]));
