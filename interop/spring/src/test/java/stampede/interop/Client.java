package stampede.interop;

import static java.util.concurrent.TimeUnit.SECONDS;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import java.lang.reflect.Type;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.LinkedBlockingQueue;
import org.springframework.messaging.converter.MappingJackson2MessageConverter;
import org.springframework.messaging.simp.stomp.StompCommand;
import org.springframework.messaging.simp.stomp.StompFrameHandler;
import org.springframework.messaging.simp.stomp.StompHeaders;
import org.springframework.messaging.simp.stomp.StompSession;
import org.springframework.messaging.simp.stomp.StompSessionHandlerAdapter;
import org.springframework.scheduling.concurrent.ThreadPoolTaskScheduler;
import org.springframework.web.socket.messaging.WebSocketStompClient;

/** Spring's own STOMP client as one user of one instance, and what came to it. */
final class Client extends StompSessionHandlerAdapter implements AutoCloseable {
  static final int WAIT_SECONDS = 60; // the machine may be busy

  /** A message as it came. */
  record Received(StompHeaders headers, JsonNode payload) {}

  private final ThreadPoolTaskScheduler scheduler = new ThreadPoolTaskScheduler();
  private final WebSocketStompClient client;
  private final BlockingQueue<Received> received = new LinkedBlockingQueue<>();
  private final List<String> faults = new ArrayList<>(); // ERRORs and exceptions; guarded by itself
  private final CompletableFuture<StompHeaders> connected = new CompletableFuture<>(); // a moment after the session
  private final StompSession session;

  Client(Instance instance, String user, Transport transport) throws Exception {
    scheduler.initialize();
    client = new WebSocketStompClient(transport.client());
    client.setMessageConverter(new MappingJackson2MessageConverter());
    client.setTaskScheduler(scheduler);
    client.setReceiptTimeLimit(WAIT_SECONDS * 1000L);
    client.setInboundMessageSizeLimit(4 << 20);
    client.setOutboundMessageSizeLimit(8 << 10); // a frame may come in parts, each of which a service's Tomcat takes
    session = client.connectAsync(transport.url(instance), this, user).get(WAIT_SECONDS, SECONDS);
  }

  @Override
  public void afterConnected(StompSession session, StompHeaders headers) {
    connected.complete(headers);
  }

  @Override
  public Type getPayloadType(StompHeaders headers) {
    return String.class; // of ERRORs only
  }

  @Override
  public void handleFrame(StompHeaders headers, Object payload) {
    fault("ERROR " + headers + " " + payload);
  }

  @Override
  public void handleException(StompSession s, StompCommand command, StompHeaders headers, byte[] payload, Throwable e) {
    fault(command + " " + e);
  }

  @Override
  public void handleTransportError(StompSession session, Throwable e) {
    fault(e.toString());
  }

  private void fault(String what) {
    synchronized (faults) {
      faults.add(what);
    }
  }

  List<String> faults() {
    synchronized (faults) {
      return List.copyOf(faults);
    }
  }

  /** The headers of CONNECTED. */
  StompHeaders connected() throws Exception {
    return connected.get(WAIT_SECONDS, SECONDS);
  }

  StompSession session() {
    return session;
  }

  /** Subscribes and waits for the RECEIPT: whatever is sent from then on comes. */
  StompSession.Subscription subscribe(String destination) throws InterruptedException {
    var headers = new StompHeaders();
    headers.setDestination(destination);
    session.setAutoReceipt(true);
    var subscription = session.subscribe(headers, taking());
    awaitReceipt(subscription, "SUBSCRIBE to " + destination);
    return subscription;
  }

  /** Subscribes to what the service answers itself, which gives no RECEIPT. */
  void ask(String destination) {
    session.setAutoReceipt(false);
    session.subscribe(destination, taking());
  }

  /** Sends and waits for the RECEIPT, which comes from the broker. */
  void send(StompHeaders headers, Object payload) throws InterruptedException {
    session.setAutoReceipt(true);
    awaitReceipt(session.send(headers, payload), "SEND to " + headers.getDestination());
  }

  /** Sends to the service itself, which gives no RECEIPT. */
  void tell(String destination, Object payload) {
    session.setAutoReceipt(false);
    session.send(destination, payload);
  }

  static void awaitReceipt(StompSession.Receiptable frame, String what) throws InterruptedException {
    var arrived = new CountDownLatch(1);
    frame.addReceiptTask(arrived::countDown);
    assertTrue(arrived.await(WAIT_SECONDS, SECONDS), "no RECEIPT in " + WAIT_SECONDS + " s for the " + what);
  }

  private StompFrameHandler taking() {
    return new StompFrameHandler() {
      @Override
      public Type getPayloadType(StompHeaders headers) {
        return JsonNode.class;
      }

      @Override
      public void handleFrame(StompHeaders headers, Object payload) {
        received.add(new Received(headers, (JsonNode) payload));
      }
    };
  }

  /** The next message. */
  Received take() throws InterruptedException {
    var next = received.poll(WAIT_SECONDS, SECONDS);
    assertTrue(next != null, "no message in " + WAIT_SECONDS + " s; faults: " + faults());
    return next;
  }

  /** The numbers in the next messages. */
  List<Integer> numbers(int count) throws InterruptedException {
    var numbers = new ArrayList<Integer>();
    for (int i = 0; i < count; i++) {
      numbers.add(take().payload().path("number").asInt());
    }
    return numbers;
  }

  @Override
  public void close() {
    if (session.isConnected()) {
      session.disconnect();
    }
    client.stop();
    scheduler.shutdown();
  }
}
