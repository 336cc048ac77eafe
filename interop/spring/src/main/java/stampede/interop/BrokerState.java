package stampede.interop;

import org.springframework.context.event.EventListener;
import org.springframework.messaging.simp.broker.BrokerAvailabilityEvent;
import org.springframework.stereotype.Component;

/** Knows whether the relay's own connection to the broker is up. */
@Component
class BrokerState {
  private volatile boolean available;
  private volatile int losses;

  @EventListener
  synchronized void onAvailability(BrokerAvailabilityEvent event) {
    if (available && !event.isBrokerAvailable()) {
      losses++;
    }
    available = event.isBrokerAvailable();
  }

  boolean isAvailable() {
    return available;
  }

  /** How often the connection was lost after it had been up. */
  int losses() {
    return losses;
  }
}
