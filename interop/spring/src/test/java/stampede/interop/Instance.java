package stampede.interop;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;

/** A running instance of the service, of which a system property says where it is: -Dinstance.one=http://127.0.0.1:8090. */
record Instance(String name, String url) {
  private static final HttpClient HTTP = HttpClient.newHttpClient();
  private static final ObjectMapper JSON = new ObjectMapper();

  static Instance named(String name) {
    String url = System.getProperty("instance." + name);
    if (url == null) {
      throw new IllegalStateException("no instance to test: make interop-spring starts them, or give -Dinstance." + name + "=http://HOST:PORT");
    }
    return new Instance(name, url);
  }

  JsonNode get(String what) throws IOException, InterruptedException {
    return answer(HttpRequest.newBuilder(URI.create(url + what)));
  }

  JsonNode post(String what, Object body) throws IOException, InterruptedException {
    var text = HttpRequest.BodyPublishers.ofString(JSON.writeValueAsString(body));
    return answer(HttpRequest.newBuilder(URI.create(url + what)).header("Content-Type", "application/json").POST(text));
  }

  private JsonNode answer(HttpRequest.Builder request) throws IOException, InterruptedException {
    var response = HTTP.send(request.timeout(Duration.ofSeconds(60)).build(), HttpResponse.BodyHandlers.ofString());
    if (response.statusCode() != 200) {
      throw new IOException("%s answered %d: %s".formatted(response.uri(), response.statusCode(), response.body()));
    }
    return JSON.readTree(response.body());
  }
}
