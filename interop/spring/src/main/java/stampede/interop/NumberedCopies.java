package stampede.interop;

import java.util.concurrent.atomic.AtomicLong;
import org.springframework.messaging.Message;
import org.springframework.messaging.MessageChannel;
import org.springframework.messaging.simp.SimpMessageHeaderAccessor;
import org.springframework.messaging.support.ChannelInterceptor;
import org.springframework.messaging.support.MessageBuilder;

/**
 * Gives each SEND that the service itself writes to its broker a {@code copy} header of its own. Where a message arrives twice, it tells whether
 * Spring wrote it twice, as it does while word of a user's session spreads, or the broker delivered one SEND twice.
 */
class NumberedCopies implements ChannelInterceptor {
  private final String prefix;
  private final AtomicLong last = new AtomicLong();

  /** prefix is different for each start of each instance. */
  NumberedCopies(String prefix) {
    this.prefix = prefix;
  }

  @Override
  public Message<?> preSend(Message<?> message, MessageChannel channel) {
    var accessor = SimpMessageHeaderAccessor.wrap(message);
    if (accessor.getDestination() == null) {
      return message;
    }
    accessor.setNativeHeader("copy", prefix + last.incrementAndGet());
    return MessageBuilder.createMessage(message.getPayload(), accessor.getMessageHeaders());
  }
}
