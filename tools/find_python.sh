# Print a Python between 3.11 and 3.13: the one asked for, or the first one found.
#   bash tools/find_python.sh [PYTHON]
fits='import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))'
for candidate in ${1:-python3 python3.13 python3.12 python3.11 python}; do
    if command -v "$candidate" >/dev/null 2>&1 && "$candidate" -c "$fits" 2>/dev/null; then
        command -v "$candidate"
        exit 0
    fi
done
echo "The course needs Python 3.11, 3.12 or 3.13, and none was found${1:+ as '$1'}." >&2
echo "Install one of them, then run the command again (or: make lab PYTHON=/path/to/python3.12)." >&2
exit 1
