# TAB behind `python train.py`, for bash. Elsewhere python's arguments are completed as file names.
_labbook_complete() {
    local line=${COMP_LINE:0:COMP_POINT} word begun breaks reply
    local -a words
    COMPREPLY=()
    read -ra words <<<"$line"
    [[ $line == *[[:space:]] ]] && words+=("")
    ((${#words[@]} > 2)) && [[ ${words[1]} == *train.py ]] || return 0
    grep -q '^from labbook' "${words[1]}" 2>/dev/null || return 0
    word=${words[${#words[@]} - 1]}
    # Readline takes what is behind the last of these signs for the word, and wants only that.
    breaks=${COMP_WORDBREAKS//[^=:@]/}
    [[ -n $breaks ]] && begun=${word%"${word##*[$breaks]}"}
    while IFS= read -r reply; do
        [[ -n $reply ]] && COMPREPLY+=("${reply#"$begun"}")
    done < <("${words[0]}" -P -m labbook.cli.completion "$line" 2>/dev/null)
    if [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *[=./] ]]; then
        compopt -o nospace 2>/dev/null
    fi
}
complete -o bashdefault -o default -F _labbook_complete python python3
