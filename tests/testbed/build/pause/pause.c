/*
 * The first process of every pod's sandbox, and of the cluster's own process namespace:
 * it reaps what is left to it and ends when it is told to.
 */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static void end(int signal) {
    (void)signal;
    _exit(0);
}

int main(void) {
    signal(SIGTERM, end);
    signal(SIGINT, end);
    /* Children of a process that ignores SIGCHLD leave no zombies. */
    signal(SIGCHLD, SIG_IGN);
    for (;;)
        pause();
}
