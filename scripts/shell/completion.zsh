# TAB behind `python train.py`, for zsh. Elsewhere python is completed by zsh's own function.
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit -i }
_labbook_complete() {
    if (( CURRENT > 2 )) && [[ $words[2] == *train.py ]] && grep -q '^from labbook' $words[2] 2>/dev/null; then
        local -a found
        found=(${(f)"$($words[1] -P -m labbook.cli.completion "${(j: :)words[1,CURRENT-1]} $PREFIX" 2>/dev/null)"})
        compadd -Q -S '' -- ${(M)found:#*[=./]}
        compadd -Q -- ${found:#*[=./]}
    elif (( $+functions[_python] )); then
        _python "$@"
    else
        _files
    fi
}
compdef _labbook_complete python python3
