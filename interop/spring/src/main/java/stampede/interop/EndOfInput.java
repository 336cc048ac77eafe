package stampede.interop;

import jakarta.annotation.PostConstruct;
import java.io.IOException;
import org.springframework.boot.autoconfigure.condition.ConditionalOnProperty;
import org.springframework.stereotype.Component;

/** Ends the service when its standard input ends, so that a suite that dies leaves none behind. */
@Component
@ConditionalOnProperty("end-with-input")
class EndOfInput {
  @PostConstruct
  void watch() {
    var watcher = new Thread(EndOfInput::awaitEnd, "end-of-input");
    watcher.setDaemon(true);
    watcher.start();
  }

  private static void awaitEnd() {
    try {
      while (System.in.read() >= 0) {
        // Nothing is said there.
      }
    } catch (IOException e) {
      // The one who started it is as gone as at the end.
    }
    Runtime.getRuntime().halt(1); // there is nobody left to shut down politely for
  }
}
