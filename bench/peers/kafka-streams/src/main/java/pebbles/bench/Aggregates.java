package pebbles.bench;

import java.time.Duration;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.KGroupedStream;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.Suppressed;
import org.apache.kafka.streams.kstream.Suppressed.BufferConfig;
import org.apache.kafka.streams.kstream.TimeWindows;

/**
 * Counts pageviews by postcode and minute of event time, each window once, when no event can change it any more: what
 * Pebbles does on the same topic, in the terms of Kafka Streams.
 *
 * <p>Windows are closed by the time of later events in the same partition, so whoever waits for the last ones sends some
 * with a later time after them.
 */
public final class Aggregates {
  private static final Duration WINDOW = Duration.ofMinutes(1);

  private Aggregates() {}

  public static void main(String[] args) throws InterruptedException {
    // A warning for each late event would cost more than the event.
    System.setProperty("org.slf4j.simpleLogger.defaultLogLevel", "error");
    Options options;
    try {
      options = Options.read(args);
    } catch (IllegalArgumentException error) {
      System.err.println(error.getMessage() + "\n" + Options.USAGE);
      System.exit(2);
      return;
    }
    CountDownLatch ended = new CountDownLatch(1);
    AtomicBoolean isReady = new AtomicBoolean();
    AtomicBoolean hasFailed = new AtomicBoolean();
    KafkaStreams streams = new KafkaStreams(topology(options), settings(options));
    streams.setUncaughtExceptionHandler(
        error -> {
          error.printStackTrace();
          hasFailed.set(true);
          return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
        });
    streams.setStateListener(
        (state, before) -> {
          if (state == KafkaStreams.State.RUNNING && isReady.compareAndSet(false, true)) {
            System.out.println("ready");
          }
          if (state.hasCompletedShutdown()) ended.countDown();
        });
    Runtime.getRuntime().addShutdownHook(new Thread(streams::close));
    streams.start();
    ended.await();
    // Where the end was asked for, the hook goes on by itself.
    if (hasFailed.get()) System.exit(1);
  }

  static Topology topology(Options options) {
    Serde<Pageview> pageviews = JsonSerde.of(Pageview.class);
    Serde<PageviewCount> counts = JsonSerde.of(PageviewCount.class);
    StreamsBuilder builder = new StreamsBuilder();
    KStream<String, Pageview> events =
        builder.stream(
            options.input(),
            Consumed.with(Serdes.String(), pageviews)
                .withTimestampExtractor((event, earlier) -> ((Pageview) event.value()).timestamp() * 1_000));
    Grouped<String, Pageview> grouping = Grouped.with(Serdes.String(), pageviews);
    KGroupedStream<String, Pageview> byPostcode =
        options.isKeyed() ? events.groupByKey(grouping) : events.groupBy((key, event) -> event.postcode(), grouping);
    byPostcode
        .windowedBy(TimeWindows.ofSizeAndGrace(WINDOW, Duration.ofSeconds(options.graceSeconds())))
        .count()
        .suppress(Suppressed.untilWindowCloses(BufferConfig.unbounded()))
        .toStream()
        .map(
            (window, count) ->
                KeyValue.pair(window.key(), PageviewCount.of(window.key(), window.window().start(), count)))
        .to(options.output(), Produced.with(Serdes.String(), counts));
    return builder.build();
  }

  private static Properties settings(Options options) {
    Properties settings = new Properties();
    settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, options.bootstrap());
    settings.put(StreamsConfig.APPLICATION_ID_CONFIG, options.applicationId());
    settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
    settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, options.threads());
    settings.put(StreamsConfig.STATE_DIR_CONFIG, options.stateDir());
    return settings;
  }
}
