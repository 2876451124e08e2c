package pebbles.bench;

import com.fasterxml.jackson.annotation.JsonProperty;
import java.time.LocalDateTime;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;

/** How often the pages of a postcode were viewed in a window, which begins at a time in UTC. */
record PageviewCount(
    String postcode,
    @JsonProperty("window_start") String windowStart,
    @JsonProperty("pageview_count") long pageviewCount) {

  private static final DateTimeFormatter SECONDS = DateTimeFormatter.ofPattern("uuuu-MM-dd'T'HH:mm:ss");

  static PageviewCount of(String postcode, long windowStartMs, long count) {
    LocalDateTime start = LocalDateTime.ofEpochSecond(windowStartMs / 1_000, 0, ZoneOffset.UTC);
    return new PageviewCount(postcode, SECONDS.format(start), count);
  }
}
