import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.sun.management.OperatingSystemMXBean;
import java.lang.management.ManagementFactory;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.StoreBuilder;
import org.apache.kafka.streams.state.Stores;

/**
 * The same views as the materializer's, by Kafka Streams with exactly_once_v2: of each event a row of
 * its id (the duplicate filter), a row of its history and the entity's view, in RocksDB stores.
 *
 * Arguments: brokers, topic, folder, events, threads, whether the stores have changelogs, and a name
 * for one that is killed and started again: it is a static member, so that its partitions wait for
 * it, says RUNNING when its stores are open and FIRST after an event, and goes on after the last.
 * Says when it has processed all: {"events":…,"wallMs":…,"cpuMs":…}, counted from the first event.
 */
public final class Views {
  private static final AtomicLong PROCESSED = new AtomicLong();
  private static final AtomicLong STARTED_NS = new AtomicLong();
  private static final AtomicLong STARTED_CPU_NS = new AtomicLong();
  private static final CountDownLatch DONE = new CountDownLatch(1);
  private static final OperatingSystemMXBean SYSTEM =
      (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();

  public static void main(String[] args) throws Exception {
    String brokers = args[0];
    String topic = args[1];
    long events = Long.parseLong(args[3]);
    Properties settings = new Properties();
    String name = args.length > 6 ? args[6] : null;
    settings.put(
        StreamsConfig.APPLICATION_ID_CONFIG, name == null ? "views-" + System.nanoTime() : name);
    if (name != null) {
      settings.put(StreamsConfig.consumerPrefix("group.instance.id"), name);
    }
    settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, brokers);
    settings.put(StreamsConfig.STATE_DIR_CONFIG, args[2]);
    settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
    settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, args[4]);
    settings.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
    settings.put("auto.offset.reset", "earliest");
    settings.put(StreamsConfig.producerPrefix("compression.type"), "zstd");
    boolean hasChangelog = Boolean.parseBoolean(args[5]);

    Topology topology = new Topology();
    topology.addSource("events", Serdes.String().deserializer(), Serdes.ByteArray().deserializer(), topic);
    topology.addProcessor("fold", () -> new Fold(events, name != null), "events");
    topology.addStateStore(store("views", Serdes.String(), hasChangelog), "fold");
    topology.addStateStore(store("history", Serdes.ByteArray(), hasChangelog), "fold");
    topology.addStateStore(store("ids", Serdes.String(), hasChangelog), "fold");

    try (KafkaStreams streams = new KafkaStreams(topology, settings)) {
      if (name != null) {
        streams.setStateListener((now, before) -> say(now.name()));
      }
      streams.start();
      DONE.await();
      long wallMs = (System.nanoTime() - STARTED_NS.get()) / 1_000_000;
      long cpuMs = (SYSTEM.getProcessCpuTime() - STARTED_CPU_NS.get()) / 1_000_000;
      say(String.format("{\"events\":%d,\"wallMs\":%d,\"cpuMs\":%d}", events, wallMs, cpuMs));
      if (name != null) Thread.sleep(Long.MAX_VALUE);
      streams.close(Duration.ofSeconds(30));
    }
    System.exit(0);
  }

  private static void say(String line) {
    System.out.println(line);
    System.out.flush();
  }

  private static <K> StoreBuilder<KeyValueStore<K, byte[]>> store(
      String name, Serde<K> keys, boolean hasChangelog) {
    StoreBuilder<KeyValueStore<K, byte[]>> builder =
        Stores.keyValueStoreBuilder(
            Stores.persistentKeyValueStore(name), keys, Serdes.ByteArray());
    return hasChangelog
        ? builder.withLoggingEnabled(Map.of())
        : builder.withLoggingDisabled();
  }

  private static final class Fold implements Processor<String, byte[], Void, Void> {
    private static final ObjectMapper JSON = new ObjectMapper();
    private final long events;
    private final boolean isNamed;
    private ProcessorContext<Void, Void> context;
    private KeyValueStore<String, byte[]> views;
    private KeyValueStore<byte[], byte[]> history;
    private KeyValueStore<String, byte[]> ids;

    Fold(long events, boolean isNamed) {
      this.events = events;
      this.isNamed = isNamed;
    }

    @Override
    public void init(ProcessorContext<Void, Void> context) {
      this.context = context;
      views = context.getStateStore("views");
      history = context.getStateStore("history");
      ids = context.getStateStore("ids");
    }

    @Override
    public void process(Record<String, byte[]> record) {
      if (STARTED_NS.compareAndSet(0, System.nanoTime())) {
        STARTED_CPU_NS.set(SYSTEM.getProcessCpuTime());
      }
      try {
        apply(record);
      } catch (Exception error) {
        throw new IllegalStateException(error);
      }
      long processed = PROCESSED.incrementAndGet();
      if (processed == 1 && isNamed) say("FIRST");
      if (processed == events) DONE.countDown();
    }

    private void apply(Record<String, byte[]> record) throws Exception {
      long offset = context.recordMetadata().orElseThrow().offset();
      String entity = record.key();
      JsonNode event = JSON.readTree(record.value());
      String id = event.get("id").asText() + '\u0000' + entity;
      if (ids.get(id) != null) return;
      byte[] digest = event.get("digest").asText().getBytes();
      ids.put(id, ByteBuffer.allocate(8 + digest.length).putLong(offset).put(digest).array());
      byte[] key = entity.getBytes();
      history.put(
          ByteBuffer.allocate(key.length + 9).put(key).put((byte) 0).putLong(offset).array(),
          record.value());
      byte[] before = views.get(entity);
      ObjectNode view =
          before == null ? JSON.createObjectNode() : (ObjectNode) JSON.readTree(before);
      view.put("sequence", view.path("sequence").asLong(0) + 1);
      view.put("offset", offset);
      view.put("hlc", event.get("hlc").asText());
      JsonNode patch = event.path("data").get("attributes");
      if (patch != null) {
        view.set("attributes", merge(view.path("attributes"), patch));
      }
      views.put(entity, JSON.writeValueAsBytes(view));
    }

    /** JSON Merge Patch, RFC 7396. */
    private static JsonNode merge(JsonNode target, JsonNode patch) {
      if (!patch.isObject()) return patch;
      ObjectNode merged = target.isObject() ? (ObjectNode) target : JSON.createObjectNode();
      patch.fields().forEachRemaining(entry -> {
        if (entry.getValue().isNull()) merged.remove(entry.getKey());
        else merged.set(entry.getKey(), merge(merged.path(entry.getKey()), entry.getValue()));
      });
      return merged;
    }
  }
}
