// An application on java.net.http, over mutual TLS: java Client URL CA CERT KEY TOKEN, where CERT, KEY and TOKEN may
// be empty. It takes a message, sends one, and prints what it sees.
import java.io.ByteArrayInputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.WebSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyFactory;
import java.security.KeyStore;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.Base64;
import java.util.concurrent.CompletionStage;
import java.util.regex.Pattern;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

public class Client implements WebSocket.Listener {
    private static final char[] NO_PASSWORD = {};
    private final StringBuilder parts = new StringBuilder();
    private int awaited = 2;
    private CompletionStage<WebSocket> sent;

    public static void main(String[] arguments) throws Exception {
        var context = context(arguments[1], arguments[2], arguments[3]);
        var client = HttpClient.newBuilder().sslContext(context).build();
        var opening = client.newWebSocketBuilder();
        if (!arguments[4].isEmpty()) opening.header("Authorization", "Bearer " + arguments[4]);
        try {
            opening.buildAsync(URI.create(arguments[0]), new Client()).join();
        } catch (Exception error) {
            for (Throwable cause = error; cause != null; cause = cause.getCause()) {
                System.out.println("error: " + cause);
            }
            System.exit(0);
        }
        // The listener ends the program.
        Thread.currentThread().join();
    }

    /** TLS that takes the servers of an authority, and shows a certificate if there is one. */
    private static SSLContext context(String ca, String certificate, String key) throws Exception {
        var trusted = KeyStore.getInstance("PKCS12");
        trusted.load(null);
        trusted.setCertificateEntry("ca", read(ca));
        var trust = TrustManagerFactory.getInstance("PKIX");
        trust.init(trusted);
        var own = KeyStore.getInstance("PKCS12");
        own.load(null);
        if (!certificate.isEmpty()) {
            var text = Files.readString(Path.of(key)).replaceAll("-----.*-----|\\s", "");
            var spec = new PKCS8EncodedKeySpec(Base64.getDecoder().decode(text));
            var pair = KeyFactory.getInstance("EC").generatePrivate(spec);
            own.setKeyEntry("own", pair, NO_PASSWORD, new Certificate[] {read(certificate)});
        }
        var keys = KeyManagerFactory.getInstance("PKIX");
        keys.init(own, NO_PASSWORD);
        var context = SSLContext.getInstance("TLS");
        context.init(keys.getKeyManagers(), trust.getTrustManagers(), null);
        return context;
    }

    private static Certificate read(String file) throws Exception {
        var bytes = Files.readAllBytes(Path.of(file));
        return CertificateFactory.getInstance("X.509").generateCertificate(new ByteArrayInputStream(bytes));
    }

    @Override
    public void onOpen(WebSocket socket) {
        socket.request(1);
        sent = socket.sendText("{\"type\":\"SK\",\"key\":\"out\",\"value\":1,\"messageId\":\"of-java\"}", true);
    }

    @Override
    public CompletionStage<?> onText(WebSocket socket, CharSequence part, boolean last) {
        parts.append(part);
        socket.request(1);
        if (!last) return null;
        var text = parts.toString();
        parts.setLength(0);
        var type = field("type", text);
        var id = field("messageId", text);
        System.out.println(type + " " + id);
        // One text at a time may be on its way.
        if (type.equals("SK")) {
            var ack = "{\"type\":\"ACK\",\"messageId\":\"%s\",\"clusterGroupId\":\"%s\"}";
            var filled = ack.formatted(id, field("clusterGroupId", text));
            sent = sent.thenCompose(done -> socket.sendText(filled, true));
        }
        awaited--;
        if (awaited == 0) sent = sent.thenCompose(done -> socket.sendClose(1000, ""));
        return null;
    }

    /** A field of a small message whose strings have no escapes: Java has no parser of JSON. */
    private static String field(String name, String text) {
        var found = Pattern.compile("\"" + name + "\":\"([^\"]*)\"").matcher(text);
        if (!found.find()) throw new IllegalArgumentException("no " + name + " in " + text);
        return found.group(1);
    }

    @Override
    public CompletionStage<?> onClose(WebSocket socket, int code, String reason) {
        System.out.println("closed with " + code + " " + reason);
        System.exit(0);
        return null;
    }

    @Override
    public void onError(WebSocket socket, Throwable error) {
        System.out.println("error: " + error);
        System.exit(0);
    }
}
