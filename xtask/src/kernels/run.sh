# Runs the programs listed in a directory, one a line with its name first, and marks where each
# begins and ends.
cd "$1" || exit
read -r available </proc/sys/net/ipv4/tcp_available_congestion_control
echo "#kernels congestion $available"
while read -r name program; do
    echo "#kernels begin $name"
    case $name in
    fields) "$program" ;;
    *) "$program" --color never ;;
    esac </dev/null 2>&1
    echo "#kernels end $name $?"
done <programs
echo "#kernels done"
