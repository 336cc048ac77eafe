package stampede.interop;

import java.security.Principal;
import java.util.Map;
import org.springframework.http.server.ServerHttpRequest;
import org.springframework.web.socket.WebSocketHandler;
import org.springframework.web.socket.server.support.DefaultHandshakeHandler;
import org.springframework.web.util.UriComponentsBuilder;

/** Takes the user from the query of the handshake, where a real service would look at its login: /ws?user=ann. */
class UserFromQuery extends DefaultHandshakeHandler {
  @Override
  protected Principal determineUser(ServerHttpRequest request, WebSocketHandler handler, Map<String, Object> attributes) {
    String user = UriComponentsBuilder.fromUri(request.getURI()).build().getQueryParams().getFirst("user");
    return user == null ? null : () -> user;
  }
}
