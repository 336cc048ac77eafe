package stampede.interop;

import java.util.Map;
import org.springframework.messaging.handler.annotation.MessageMapping;
import org.springframework.messaging.handler.annotation.Payload;
import org.springframework.messaging.simp.annotation.SendToUser;
import org.springframework.messaging.simp.annotation.SubscribeMapping;
import org.springframework.stereotype.Controller;

/** Answers clients: what goes to /app never reaches the broker, the answers do. */
@Controller
class Echo {
  @MessageMapping("/echo")
  @SendToUser("/queue/replies")
  Map<String, Object> echo(@Payload Map<String, Object> message) {
    return message;
  }

  @MessageMapping("/echo-here")
  @SendToUser(destinations = "/queue/replies", broadcast = false)
  Map<String, Object> echoHere(@Payload Map<String, Object> message) {
    return message;
  }

  @SubscribeMapping("/welcome")
  Map<String, Object> welcome() {
    return Map.of("text", "welcome");
  }
}
