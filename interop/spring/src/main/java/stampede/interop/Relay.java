package stampede.interop;

import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.scheduling.annotation.EnableScheduling;

/** A service as Spring's documentation tells to build one, with a broker behind it that is not its own. */
@SpringBootApplication
@EnableScheduling
public class Relay {
  public static void main(String[] args) {
    SpringApplication.run(Relay.class, args);
  }
}
