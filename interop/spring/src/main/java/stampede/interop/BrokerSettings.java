package stampede.interop;

import org.springframework.boot.context.properties.ConfigurationProperties;
import org.springframework.boot.context.properties.bind.DefaultValue;

/**
 * Which broker the service uses.
 *
 * @param kind relay: a broker at host and port; simple: Spring's own, in this process
 * @param virtualHost RabbitMQ's; empty for brokers that have none
 */
@ConfigurationProperties("broker")
record BrokerSettings(
    @DefaultValue("relay") Kind kind,
    @DefaultValue("127.0.0.1") String host,
    @DefaultValue("61613") int port,
    @DefaultValue("guest") String login,
    @DefaultValue("guest") String passcode,
    @DefaultValue("") String virtualHost) {
  enum Kind {
    RELAY,
    SIMPLE
  }
}
