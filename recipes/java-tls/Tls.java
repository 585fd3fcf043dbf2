import com.sun.net.httpserver.HttpsConfigurator;
import com.sun.net.httpserver.HttpsServer;
import java.io.FileInputStream;
import java.net.InetSocketAddress;
import java.security.KeyStore;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;

/** Answers over https with what it knows of the connection; key and certificate are in a PKCS #12 file. */
public class Tls {
    public static void main(String[] args) throws Exception {
        var secret = "secret".toCharArray();
        var store = KeyStore.getInstance("PKCS12");
        try (var file = new FileInputStream(args[0])) {
            store.load(file, secret);
        }
        var keys = KeyManagerFactory.getInstance("PKIX");
        keys.init(store, secret);
        var context = SSLContext.getInstance("TLS");
        context.init(keys.getKeyManagers(), null, null);
        var server = HttpsServer.create(new InetSocketAddress(8443), 0);
        server.setHttpsConfigurator(new HttpsConfigurator(context));
        server.createContext("/", exchange -> {
            var session = ((com.sun.net.httpserver.HttpsExchange) exchange).getSSLSession();
            var body = (session.getProtocol() + " " + System.getProperty("user.name") + "\n").getBytes();
            exchange.sendResponseHeaders(200, body.length);
            exchange.getResponseBody().write(body);
            exchange.close();
        });
        server.start();
    }
}
