import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.apache.kafka.common.utils.Utils;

/** Prints [key, murmur2, partition of 12] per line, computed by Kafka's own class. */
public final class Murmur2Vectors {
  private static final int PARTITIONS = 12;

  public static void main(String[] args) {
    StringBuilder out = new StringBuilder();
    for (String key : keys()) {
      int hash = Utils.murmur2(key.getBytes(StandardCharsets.UTF_8));
      int partition = Utils.toPositive(hash) % PARTITIONS;
      out.append('[').append(quote(key)).append(',').append(hash).append(',').append(partition);
      out.append("]\n");
    }
    System.out.print(out);
  }

  private static List<String> keys() {
    List<String> keys = new ArrayList<>();
    keys.add("");
    for (int i = 0; i < 400; i++) keys.add("user/" + i);
    for (int i = 0; i < 200; i++) keys.add("dialogue/" + (i % 20) + "_" + String.format("%05d", i));
    for (int i = 0; i < 100; i++) keys.add("tenant-" + (i % 7) + ":agent/" + Integer.toHexString(i * 7919));
    for (int c = 0; c < 128; c++) keys.add(String.valueOf((char) c));
    Random random = new Random(20_250_101L);
    int[] starts = {0x20, 0xa0, 0x400, 0x3040, 0xac00, 0x1f300};
    for (int i = 0; i < 600; i++) keys.add(text(random, starts[i % starts.length], random.nextInt(40)));
    for (int length = 60; length < 400; length = length * 3 / 2 + 1) {
      for (int start : starts) keys.add(text(random, start, length));
    }
    for (int length : new int[] {1000, 1023, 1024, 1025, 1500, 4099}) keys.add(text(random, 0x20, length));
    for (int length : new int[] {1023, 1024, 1025}) keys.add(text(random, 0x400, length));
    return keys;
  }

  private static String text(Random random, int start, int length) {
    StringBuilder text = new StringBuilder();
    for (int i = 0; i < length; i++) text.appendCodePoint(start + random.nextInt(90));
    return text.toString();
  }

  private static String quote(String text) {
    StringBuilder quoted = new StringBuilder("\"");
    for (char c : text.toCharArray()) {
      if (c == '"' || c == '\\') quoted.append('\\').append(c);
      else if (c >= 0x20 && c < 0x7f) quoted.append(c);
      else quoted.append(String.format("\\u%04x", (int) c));
    }
    return quoted.append('"').toString();
  }
}
