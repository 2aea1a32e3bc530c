# perl hold-socket.pl SOCKET PROGRAM ARGS...: holds a listening socket and starts the program with it as descriptor 3, as
# systemd does for a socket unit; again whenever it ends. SIGTERM ends the program for good, SIGHUP lets it start anew.
use strict;
use warnings;
use IO::Socket::UNIX;
use POSIX qw(dup2 _exit);

my $path  = shift @ARGV;
my $socket = IO::Socket::UNIX->new(Type => SOCK_STREAM, Local => $path, Listen => 4096) or die "listen: $!";
my ($child, $over) = (0, 0);
$SIG{TERM} = sub { $over = 1; kill 'TERM', $child if $child };
$SIG{HUP} = sub { kill 'TERM', $child if $child };

until ($over) {
    $child = fork();
    die "fork: $!" unless defined $child;
    if ($child == 0) {
        dup2(fileno($socket), 3) // die "dup2: $!";
        # Descriptor 3 itself is closed on exec when the socket happens to be it.
        require Fcntl;
        open(my $three, '<&=', 3) or die "fd 3: $!";
        fcntl($three, Fcntl::F_SETFD(), 0);
        $ENV{LISTEN_PID} = $$;
        $ENV{LISTEN_FDS} = 1;
        $ENV{LISTEN_FDNAMES} = 'uploadd';
        exec { $ARGV[0] } @ARGV or _exit(127);
    }
    # Interrupted by our own signals; the child is what is waited for.
    my $ended;
    do { $ended = waitpid($child, 0) } until $ended == $child;
    print STDERR "supervisor: ended with status $?\n";
}
