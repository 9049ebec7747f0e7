/* An echo on libwebsockets: `serve LIMIT` prints its port, `dial LIMIT PORT` dials again and again. The library has no
 * limit of its own on a message, and none is added here. */
#include <libwebsockets.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct message {
    struct message *next;
    size_t length;
    int binary;
    unsigned char *bytes; /* LWS_PRE bytes of room come first. */
};

struct link {
    struct message *first, *last, *open;
};

static int port;

static void dial(struct lws_context *context) {
    struct lws_client_connect_info info = {0};
    info.context = context;
    info.address = info.host = info.origin = "127.0.0.1";
    info.port = port;
    info.path = "/";
    info.local_protocol_name = "echo";
    lws_client_connect_via_info(&info);
}

static struct message *grow(struct message *message, size_t length) {
    message->bytes = realloc(message->bytes, LWS_PRE + message->length + length);
    if (!message->bytes)
        abort();
    return message;
}

static void take(struct lws *wsi, struct link *link, const void *bytes, size_t length) {
    if (!link->open) {
        link->open = calloc(1, sizeof *link->open);
        link->open->binary = lws_frame_is_binary(wsi);
    }
    memcpy(grow(link->open, length)->bytes + LWS_PRE + link->open->length, bytes, length);
    link->open->length += length;
    if (!lws_is_final_fragment(wsi))
        return;
    if (link->last)
        link->last->next = link->open;
    else
        link->first = link->open;
    link->last = link->open;
    link->open = NULL;
    lws_callback_on_writable(wsi);
}

static void drop(struct message *message) {
    while (message) {
        struct message *next = message->next;
        free(message->bytes);
        free(message);
        message = next;
    }
}

static int give(struct lws *wsi, struct link *link) {
    struct message *message = link->first;
    if (!message)
        return 0;
    link->first = message->next;
    if (!link->first)
        link->last = NULL;
    message->next = NULL;
    int written = lws_write(wsi, message->bytes + LWS_PRE, message->length, message->binary ? LWS_WRITE_BINARY : LWS_WRITE_TEXT);
    drop(message);
    if (link->first)
        lws_callback_on_writable(wsi);
    return written < 0 ? -1 : 0;
}

static int happened(struct lws *wsi, enum lws_callback_reasons what, void *user, void *bytes, size_t length) {
    struct link *link = user;
    switch (what) {
    case LWS_CALLBACK_RECEIVE:
    case LWS_CALLBACK_CLIENT_RECEIVE:
        take(wsi, link, bytes, length);
        return 0;
    case LWS_CALLBACK_SERVER_WRITEABLE:
    case LWS_CALLBACK_CLIENT_WRITEABLE:
        return give(wsi, link);
    case LWS_CALLBACK_CLOSED:
    case LWS_CALLBACK_CLIENT_CLOSED:
        drop(link->first);
        drop(link->open);
        memset(link, 0, sizeof *link);
        if (what == LWS_CALLBACK_CLIENT_CLOSED)
            dial(lws_get_context(wsi));
        return 0;
    case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
        dial(lws_get_context(wsi));
        return 0;
    default:
        return 0;
    }
}

int main(int count, char **arguments) {
    static const struct lws_protocols protocols[] = {{"echo", happened, sizeof(struct link), 65536, 0, NULL, 0}, {0}};
    int serves = count == 3;
    struct lws_context_creation_info info = {0};
    lws_set_log_level(0, NULL);
    info.port = serves ? 0 : CONTEXT_PORT_NO_LISTEN;
    info.iface = "127.0.0.1";
    info.protocols = protocols;
    info.options = LWS_SERVER_OPTION_VALIDATE_UTF8;
    struct lws_context *context = lws_create_context(&info);
    if (!context)
        return 1;
    if (serves) {
        printf("%d\n", lws_get_vhost_listen_port(lws_get_vhost_by_name(context, "default")));
        fflush(stdout);
    } else {
        port = atoi(arguments[3]);
        dial(context);
    }
    while (lws_service(context, 0) >= 0)
        ;
    return 0;
}
