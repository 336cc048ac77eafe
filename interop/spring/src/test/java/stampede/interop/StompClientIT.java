package stampede.interop;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.stream.IntStream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator.ReplaceUnderscores;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.springframework.messaging.simp.stomp.StompHeaders;

/** Spring's own STOMP client in front of two instances, each of which is relayed to another node. */
@DisplayNameGeneration(ReplaceUnderscores.class)
class StompClientIT {
  private static Instance one;
  private static Instance two;

  @BeforeAll
  static void findInstances() {
    one = Instance.named("one");
    two = Instance.named("two");
  }

  @ParameterizedTest(name = "{0}")
  @EnumSource
  void agrees_with_the_broker_on_version_and_heart_beats(Transport transport) throws Exception {
    try (var ann = new Client(one, unique("ann"), transport)) {
      var connected = ann.connected();
      assertEquals("1.2", connected.getFirst("version"));
      assertEquals("10000,10000", connected.getFirst("heart-beat"));
      String server = connected.getFirst("server");
      assertTrue(server.startsWith("stampede/"), "CONNECTED came from " + server);
    }
  }

  @ParameterizedTest(name = "{0}")
  @EnumSource
  void hears_the_schedulers_of_both_instances(Transport transport) throws Exception {
    for (String name : List.of("one", "two")) {
      try (var ann = new Client(one, unique("ann"), transport)) {
        ann.subscribe("/topic/ticks." + name);
        long first = tick(ann, name);
        assertEquals(List.of(first + 1, first + 2), List.of(tick(ann, name), tick(ann, name)));
        assertEquals(List.of(), ann.faults());
      }
    }
  }

  private static long tick(Client client, String name) throws InterruptedException {
    var payload = client.take().payload();
    assertEquals(name, payload.path("from").asText());
    return payload.path("tick").asLong();
  }

  @ParameterizedTest(name = "{0}")
  @EnumSource
  void gets_what_the_other_instance_sends_to_its_user_once_in_each_session(Transport transport) throws Exception {
    String user = unique("bob");
    try (var here = new Client(one, user, transport);
        var there = new Client(two, user, transport);
        var other = new Client(two, unique("cyd"), transport)) {
      for (var client : List.of(here, there, other)) {
        client.subscribe("/user/queue/news");
      }
      awaitSessions(one, user, 2); // an instance that knows some sessions of a user sends to no others
      awaitSessions(two, user, 2);
      toUser(one, user, 1, 20);
      assertEquals(upTo(20), here.numbers(20));
      assertEquals(upTo(20), there.numbers(20));
      // Whatever had come twice would be before the next.
      toUser(two, user, 21, 1);
      for (var client : List.of(here, there)) {
        var last = client.take();
        assertEquals(21, last.payload().path("number").asInt());
        assertEquals("/user/queue/news", last.headers().getDestination());
      }
      one.post("/to-users", Map.of("users", List.of(other.connected().getFirst("user-name")), "destination", "/queue/news", "first", 7, "rounds", 1));
      assertEquals(List.of(7), other.numbers(1));
    }
  }

  @ParameterizedTest(name = "{0}")
  @EnumSource
  void is_answered_by_the_service_when_it_asks(Transport transport) throws Exception {
    try (var dan = new Client(two, unique("dan"), transport)) {
      dan.subscribe("/user/queue/replies");
      dan.tell("/app/echo", Map.of("text", "Grüße, 世界 🐃"));
      assertEquals("Grüße, 世界 🐃", dan.take().payload().path("text").asText());
      dan.ask("/app/welcome");
      assertEquals("welcome", dan.take().payload().path("text").asText());
      assertEquals(List.of(), dan.faults());
    }
  }

  @ParameterizedTest(name = "{0}")
  @EnumSource
  void sends_headers_and_large_bodies_to_clients_of_the_other_instance(Transport transport) throws Exception {
    String topic = "/topic/" + unique("room");
    try (var eve = new Client(one, unique("eve"), transport);
        var fay = new Client(two, unique("fay"), transport)) {
      fay.subscribe(topic);
      var headers = new StompHeaders();
      headers.setDestination(topic);
      headers.add("x-note", "a:b\\c\nd");
      String large = "x".repeat(500_000);
      eve.send(headers, Map.of("text", large));
      var message = fay.take();
      assertEquals(large, message.payload().path("text").asText());
      assertEquals("a:b\\c\nd", message.headers().getFirst("x-note"));
      assertNull(message.headers().getFirst("receipt"));
      assertEquals(List.of(), eve.faults());
      assertEquals(List.of(), fay.faults());
    }
  }

  @ParameterizedTest(name = "{0}")
  @EnumSource
  void gets_no_more_after_UNSUBSCRIBE(Transport transport) throws Exception {
    String topic = "/topic/" + unique("room");
    try (var gil = new Client(one, unique("gil"), transport)) {
      var first = gil.subscribe(topic);
      two.post("/send", Map.of("destination", topic, "payload", Map.of("number", 1), "headers", Map.of()));
      assertEquals(List.of(1), gil.numbers(1));
      first.unsubscribe();
      gil.subscribe(topic + ".next"); // its receipt comes after the broker has seen the UNSUBSCRIBE
      two.post("/send", Map.of("destination", topic, "payload", Map.of("number", 2), "headers", Map.of()));
      two.post("/send", Map.of("destination", topic + ".next", "payload", Map.of("number", 3), "headers", Map.of()));
      assertEquals(List.of(3), gil.numbers(1));
    }
  }

  @ParameterizedTest(name = "{0}")
  @EnumSource
  void leaves_no_session_behind_when_it_disconnects_with_a_receipt(Transport transport) throws Exception {
    String user = unique("hal");
    try (var hal = new Client(two, user, transport)) {
      hal.subscribe("/user/queue/news");
      awaitSessions(two, user, 1);
      var headers = new StompHeaders();
      headers.setReceipt("bye");
      hal.session().disconnect(headers); // the client does not wait for the receipt, the service does
      awaitSessions(two, user, 0);
      awaitSessions(one, user, 0);
      // Spring tells the client of the end of its own connection to the broker, or has forgotten the client by then.
      var faults = hal.faults().stream().filter(fault -> !fault.contains("Connection to broker closed.")).toList();
      assertEquals(List.of(), faults);
    }
  }

  private static void toUser(Instance from, String user, int first, int rounds) throws Exception {
    var sent = from.post("/to-users", Map.of("users", List.of(user), "destination", "/queue/news", "first", first, "rounds", rounds));
    assertEquals(rounds, sent.path("sent").asInt());
  }

  /** Waits until an instance knows so many of a user's sessions: instances tell each other every 10 s. */
  private static void awaitSessions(Instance instance, String user, int count) throws Exception {
    long deadline = System.nanoTime() + Client.WAIT_SECONDS * 1_000_000_000L;
    int known;
    do {
      known = instance.get("/users/" + user).path("sessions").asInt();
      Thread.sleep(50); // between two questions
    } while (known != count && System.nanoTime() < deadline);
    assertEquals(count, known, "sessions of " + user + " that instance " + instance.name() + " knows");
  }

  private static List<Integer> upTo(int n) {
    return IntStream.rangeClosed(1, n).boxed().toList();
  }

  private static String unique(String name) {
    return name + "-" + UUID.randomUUID();
  }
}
