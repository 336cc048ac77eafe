package stampede.interop;

import java.util.Map;
import java.util.concurrent.atomic.AtomicLong;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.messaging.MessagingException;
import org.springframework.messaging.simp.SimpMessagingTemplate;
import org.springframework.scheduling.annotation.Scheduled;
import org.springframework.stereotype.Component;

/** Publishes on its own, as schedulers in services do. */
@Component
class Ticker {
  private final SimpMessagingTemplate template;
  private final BrokerState broker;
  private final String name;
  private final AtomicLong ticks = new AtomicLong();

  Ticker(SimpMessagingTemplate template, BrokerState broker, @Value("${instance.name:one}") String name) {
    this.template = template;
    this.broker = broker;
    this.name = name;
  }

  @Scheduled(fixedRateString = "${ticker.millis:500}")
  void tick() {
    if (!broker.isAvailable()) {
      return;
    }
    try {
      template.convertAndSend("/topic/ticks." + name, Map.of("from", name, "tick", ticks.incrementAndGet()));
    } catch (MessagingException e) {
      // The broker went away between the question and the send: this tick is lost.
    }
  }
}
