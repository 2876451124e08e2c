import java.time.Duration;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * Prints what is committed in a topic now, by Kafka's own client: one record per line, with partition, offset, key,
 * value, and names and values of headers in turn, all texts in Base64.
 */
public class ReadCommitted {
  public static void main(String[] args) {
    Map<String, Object> settings = Map.of(
        "bootstrap.servers", args[0],
        "isolation.level", "read_committed",
        "enable.auto.commit", false);
    var out = new StringBuilder();
    var bytes = new ByteArrayDeserializer();
    try (var consumer = new KafkaConsumer<byte[], byte[]>(settings, bytes, bytes)) {
      List<TopicPartition> partitions = consumer.partitionsFor(args[1]).stream()
          .map(info -> new TopicPartition(info.topic(), info.partition())).toList();
      consumer.assign(partitions);
      consumer.seekToBeginning(partitions);
      // With read_committed, the end is where the first open transaction begins.
      Map<TopicPartition, Long> ends = consumer.endOffsets(partitions);
      while (ends.entrySet().stream().anyMatch(end -> consumer.position(end.getKey()) < end.getValue())) {
        for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(100))) print(record, out);
        System.out.print(out);
        out.setLength(0);
      }
    }
  }

  private static void print(ConsumerRecord<byte[], byte[]> record, StringBuilder out) {
    out.append(record.partition()).append(' ').append(record.offset());
    append(record.key(), out);
    append(record.value(), out);
    for (var header : record.headers()) {
      append(header.key().getBytes(), out);
      append(header.value(), out);
    }
    out.append('\n');
  }

  private static void append(byte[] text, StringBuilder out) {
    out.append(' ').append(Base64.getEncoder().encodeToString(text));
  }
}
