package stampede.interop;

import jakarta.websocket.ContainerProvider;
import java.util.List;
import org.springframework.web.client.RestTemplate;
import org.springframework.web.socket.client.WebSocketClient;
import org.springframework.web.socket.client.standard.StandardWebSocketClient;
import org.springframework.web.socket.sockjs.client.RestTemplateXhrTransport;
import org.springframework.web.socket.sockjs.client.SockJsClient;
import org.springframework.web.socket.sockjs.client.WebSocketTransport;

/** The ways in which Spring's client comes to an instance. */
enum Transport {
  WEBSOCKET("/ws"),
  SOCKJS_WEBSOCKET("/sockjs"),
  SOCKJS_HTTP("/sockjs");

  private final String path;

  Transport(String path) {
    this.path = path;
  }

  WebSocketClient client() {
    return switch (this) {
      case WEBSOCKET -> webSocket();
      case SOCKJS_WEBSOCKET -> new SockJsClient(List.of(new WebSocketTransport(webSocket())));
      case SOCKJS_HTTP -> new SockJsClient(List.of(new RestTemplateXhrTransport(new RestTemplate())));
    };
  }

  private static WebSocketClient webSocket() {
    var container = ContainerProvider.getWebSocketContainer();
    container.setDefaultMaxTextMessageBufferSize(1 << 20); // Tomcat's own limit is 8 KiB
    return new StandardWebSocketClient(container);
  }

  /** Where an instance takes this transport; the user is a variable. */
  String url(Instance instance) {
    String base = this == WEBSOCKET ? instance.url().replaceFirst("^http", "ws") : instance.url();
    return base + path + "?user={user}";
  }
}
