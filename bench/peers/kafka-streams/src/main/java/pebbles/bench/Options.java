package pebbles.bench;

import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** The command line: {@code --name value} pairs, and {@code --keyed} alone. */
record Options(
    String bootstrap,
    String applicationId,
    String input,
    String output,
    int threads,
    long graceSeconds,
    String stateDir,
    boolean isKeyed) {

  static final String USAGE =
      """
      --bootstrap HOST:PORT      the brokers
      --application-id ID        consumer group, and prefix of the topics that it makes for itself
      --input TOPIC              pageviews as JSON; must exist
      --output TOPIC             aggregates as JSON; must exist
      --threads N                default 2
      --grace SECONDS            default 60
      --state-dir FOLDER         for RocksDB
      --keyed                    keys of the input are postcodes, so nothing has to be sent through a topic in between
      """;

  static Options read(String[] args) {
    Map<String, String> given = new HashMap<>();
    List<String> names =
        List.of("--bootstrap", "--application-id", "--input", "--output", "--threads", "--grace", "--state-dir");
    for (int at = 0; at < args.length; at++) {
      if (args[at].equals("--keyed")) given.put("--keyed", "");
      else if (names.contains(args[at]) && at + 1 < args.length) given.put(args[at], args[++at]);
      else throw new IllegalArgumentException("not understood: " + args[at]);
    }
    for (String name : Arrays.asList("--bootstrap", "--application-id", "--input", "--output", "--state-dir")) {
      if (!given.containsKey(name)) throw new IllegalArgumentException("is missing: " + name);
    }
    return new Options(
        given.get("--bootstrap"),
        given.get("--application-id"),
        given.get("--input"),
        given.get("--output"),
        Integer.parseInt(given.getOrDefault("--threads", "2")),
        Long.parseLong(given.getOrDefault("--grace", "60")),
        given.get("--state-dir"),
        given.containsKey("--keyed"));
  }
}
