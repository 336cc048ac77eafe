package stampede.interop;

import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.springframework.http.HttpStatus;
import org.springframework.http.ResponseEntity;
import org.springframework.messaging.MessagingException;
import org.springframework.messaging.simp.SimpMessagingTemplate;
import org.springframework.messaging.simp.user.SimpSession;
import org.springframework.messaging.simp.user.SimpUserRegistry;
import org.springframework.web.bind.annotation.ExceptionHandler;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.PathVariable;
import org.springframework.web.bind.annotation.PostMapping;
import org.springframework.web.bind.annotation.RequestBody;
import org.springframework.web.bind.annotation.RestController;

/** Lets a test make the service send, and look at what it knows. */
@RestController
class SendController {
  private final SimpMessagingTemplate template;
  private final SimpUserRegistry registry;
  private final BrokerState broker;

  SendController(SimpMessagingTemplate template, SimpUserRegistry registry, BrokerState broker) {
    this.template = template;
    this.registry = registry;
    this.broker = broker;
  }

  /** One message for a destination. */
  record Send(String destination, Object payload, Map<String, Object> headers) {}

  @PostMapping("/send")
  void send(@RequestBody Send send) {
    template.convertAndSend(send.destination(), send.payload(), send.headers());
  }

  /** count messages to one destination, spaced by millis; each holds its number and when it was sent. */
  record Stream(String destination, int count, long millis) {}

  @PostMapping("/stream")
  void stream(@RequestBody Stream stream) throws InterruptedException {
    for (int i = 1; i <= stream.count(); i++) {
      template.convertAndSend(stream.destination(), stamped(i));
      Thread.sleep(stream.millis());
    }
  }

  /** One message to each user, in turn, rounds times. */
  record ToUsers(List<String> users, String destination, int first, int rounds, long millis) {}

  @PostMapping("/to-users")
  Map<String, Object> toUsers(@RequestBody ToUsers to) throws InterruptedException {
    int sent = 0;
    int failed = 0;
    for (int n : IntStream.range(to.first(), to.first() + to.rounds()).toArray()) {
      for (String user : to.users()) {
        try {
          template.convertAndSendToUser(user, to.destination(), stamped(n));
          sent++;
        } catch (MessagingException e) {
          failed++; // the broker is away
        }
        if (to.millis() > 0) {
          Thread.sleep(to.millis());
        }
      }
    }
    return Map.of("sent", sent, "failed", failed);
  }

  private static Map<String, Object> stamped(int number) {
    return Map.of("number", number, "sentAt", System.currentTimeMillis(), "sentNanos", System.nanoTime());
  }

  @GetMapping("/broker")
  Map<String, Object> broker() {
    return Map.of("available", broker.isAvailable(), "losses", broker.losses());
  }

  /** How many users this instance knows, on all instances, and a number that tells two sets of their sessions apart. */
  @GetMapping("/users")
  Map<String, Object> users() {
    var sessions = registry.getUsers().stream().flatMap(user -> user.getSessions().stream()).map(SimpSession::getId).collect(Collectors.toSet());
    return Map.of("count", registry.getUserCount(), "sessionsHash", sessions.hashCode());
  }

  /** How many sessions of a user this instance knows, on all instances. */
  @GetMapping("/users/{name}")
  Map<String, Object> user(@PathVariable String name) {
    var user = registry.getUser(name);
    return Map.of("sessions", user == null ? 0 : user.getSessions().size());
  }

  @ExceptionHandler(MessagingException.class)
  ResponseEntity<String> brokerIsAway(MessagingException e) {
    return ResponseEntity.status(HttpStatus.SERVICE_UNAVAILABLE).body(String.valueOf(e.getMessage()));
  }
}
