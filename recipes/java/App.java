import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.time.ZoneId;
import java.time.ZonedDateTime;

/** A small web program: answers every request with what it knows about itself. */
final class App {
    public static void main(String[] args) throws IOException {
        int port = Integer.parseInt(System.getenv().getOrDefault("PORT", "8080"));
        HttpServer server = HttpServer.create(new InetSocketAddress(port), 0);
        server.createContext("/", exchange -> {
            byte[] body = String.format("{\"java\":\"%s\",\"path\":\"%s\",\"user\":\"%s\",\"berlin\":\"%s\"}",
                    Runtime.version(), exchange.getRequestURI().getPath(), System.getProperty("user.name"),
                    ZonedDateTime.now(ZoneId.of("Europe/Berlin")).toOffsetDateTime())
                    .getBytes(StandardCharsets.UTF_8);
            exchange.getResponseHeaders().set("Content-Type", "application/json");
            exchange.sendResponseHeaders(200, body.length);
            exchange.getResponseBody().write(body);
            exchange.close();
        });
        server.start();
        System.err.println("listening on " + port);
    }
}
