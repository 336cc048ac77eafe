package stampede.interop;

import org.springframework.beans.factory.annotation.Value;
import org.springframework.boot.context.properties.EnableConfigurationProperties;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.messaging.simp.config.MessageBrokerRegistry;
import org.springframework.scheduling.concurrent.ThreadPoolTaskScheduler;
import org.springframework.web.socket.config.annotation.EnableWebSocketMessageBroker;
import org.springframework.web.socket.config.annotation.StompEndpointRegistry;
import org.springframework.web.socket.config.annotation.WebSocketMessageBrokerConfigurer;
import org.springframework.web.socket.config.annotation.WebSocketTransportRegistration;

/** The broker relay, with what several instances of a service need to reach each other's users. */
@Configuration
@EnableWebSocketMessageBroker
@EnableConfigurationProperties(BrokerSettings.class)
class MessagingConfiguration implements WebSocketMessageBrokerConfigurer {
  private final BrokerSettings broker;
  private final String name;

  MessagingConfiguration(BrokerSettings broker, @Value("${instance.name:one}") String name) {
    this.broker = broker;
    this.name = name;
  }

  @Override
  public void configureMessageBroker(MessageBrokerRegistry registry) {
    registry.setApplicationDestinationPrefixes("/app");
    if (broker.kind() == BrokerSettings.Kind.SIMPLE) {
      registry.enableSimpleBroker("/topic", "/queue")
          .setTaskScheduler(heartBeats())
          .setHeartbeatValue(new long[] {10_000, 10_000});
      return;
    }
    var relay = registry.enableStompBrokerRelay("/topic", "/queue")
        .setRelayHost(broker.host())
        .setRelayPort(broker.port())
        .setSystemLogin(broker.login())
        .setSystemPasscode(broker.passcode())
        .setClientLogin(broker.login())
        .setClientPasscode(broker.passcode())
        .setUserDestinationBroadcast("/topic/unresolved-user-destination")
        .setUserRegistryBroadcast("/topic/simp-user-registry");
    registry.configureBrokerChannel().interceptors(new NumberedCopies(name + "-" + ProcessHandle.current().pid() + "-"));
    if (!broker.virtualHost().isEmpty()) {
      relay.setVirtualHost(broker.virtualHost());
    }
  }

  @Override
  public void registerStompEndpoints(StompEndpointRegistry registry) {
    registry.addEndpoint("/ws").setAllowedOriginPatterns("*");
    registry.addEndpoint("/sockjs").setAllowedOriginPatterns("*").withSockJS();
  }

  @Override
  public void configureWebSocketTransport(WebSocketTransportRegistration transport) {
    transport.setMessageSizeLimit(1 << 20).setSendBufferSizeLimit(4 << 20);
  }

  @Bean
  ThreadPoolTaskScheduler heartBeats() {
    var scheduler = new ThreadPoolTaskScheduler();
    scheduler.setPoolSize(1);
    scheduler.setThreadNamePrefix("heart-beat-");
    return scheduler;
  }
}
