/* A small web server: answers every request on PORT (8080) with one line, one client at a time. */
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void answer(int client) {
    char request[4096], reply[256];
    if (read(client, request, sizeof request) <= 0)
        return;
    const char body[] = "hello from a server without company\n";
    int length = snprintf(reply, sizeof reply,
                          "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n\r\n%s",
                          strlen(body), body);
    if (write(client, reply, (size_t)length) < 0)
        perror("write");
}

static void stop(int signal) {
    (void)signal;
    _exit(0);
}

int main(void) {
    const char *port = getenv("PORT");
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons((unsigned short)atoi(port ? port : "8080")),
    };
    int listener = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 16)) {
        perror("listen");
        return 1;
    }
    signal(SIGPIPE, SIG_IGN);
    signal(SIGTERM, stop); /* process 1 has no default action for it */
    fprintf(stderr, "listening on %d\n", ntohs(address.sin_port));
    for (;;) {
        int client = accept(listener, NULL, NULL);
        if (client < 0)
            continue;
        answer(client);
        close(client);
    }
}
