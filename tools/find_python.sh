# Print a Python between 3.11 and 3.13 that can make environments: the one asked for, or the first
# one found.
#   bash tools/find_python.sh [PYTHON]
fits='import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))'
candidates=(python3 python3.13 python3.12 python3.11 python)
[ -z "${1:-}" ] || candidates=("$1")
without=""
for candidate in "${candidates[@]}"; do
    command -v "$candidate" >/dev/null 2>&1 && "$candidate" -c "$fits" 2>/dev/null || continue
    # Debian and Ubuntu keep what makes environments in a package of its own.
    if "$candidate" -c 'import ensurepip, venv' 2>/dev/null; then
        command -v "$candidate"
        exit 0
    fi
    without=${without:-$candidate}
done
if [ -n "$without" ]; then
    name=$("$without" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
    echo "The Python '$without' cannot make environments: its modules venv and ensurepip are missing." >&2
    echo "On Debian, Ubuntu and WSL: sudo apt install $name. Then run the command again." >&2
    exit 1
fi
echo "The course needs Python 3.11, 3.12 or 3.13, and none was found${1:+ as '$1'}." >&2
echo "Install one of them, then run the command again (or: make lab PYTHON=/path/to/python3.12)." >&2
exit 1
