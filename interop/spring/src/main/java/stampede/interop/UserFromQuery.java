package stampede.interop;

import jakarta.servlet.FilterChain;
import jakarta.servlet.ServletException;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletRequestWrapper;
import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;
import java.security.Principal;
import org.springframework.stereotype.Component;
import org.springframework.web.filter.OncePerRequestFilter;

/**
 * Takes the user from the query, where a real service would look at its login: /ws?user=ann. It is a filter and no HandshakeHandler, as
 * Spring's SockJS asks the latter for WebSocket only: over HTTP it takes the user of the request.
 */
@Component
class UserFromQuery extends OncePerRequestFilter {
  @Override
  protected void doFilterInternal(HttpServletRequest request, HttpServletResponse response, FilterChain chain)
      throws ServletException, IOException {
    String user = request.getParameter("user");
    chain.doFilter(user == null ? request : new Authenticated(request, user), response);
  }

  private static class Authenticated extends HttpServletRequestWrapper {
    private final User user;

    Authenticated(HttpServletRequest request, String name) {
      super(request);
      this.user = new User(name);
    }

    @Override
    public Principal getUserPrincipal() {
      return user;
    }
  }

  /** Equal by name: each request of a SockJS session over HTTP brings its own. */
  private record User(String name) implements Principal {
    @Override
    public String getName() {
      return name;
    }
  }
}
