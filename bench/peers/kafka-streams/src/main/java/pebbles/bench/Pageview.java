package pebbles.bench;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.annotation.JsonProperty;

/** An event as the API takes it; the time in seconds since 1970. */
@JsonIgnoreProperties(ignoreUnknown = true)
record Pageview(@JsonProperty("user_id") long userId, String postcode, String webpage, long timestamp) {}
