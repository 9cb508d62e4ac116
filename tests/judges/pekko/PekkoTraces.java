import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.stream.Collectors;
import org.apache.pekko.actor.Address;
import org.apache.pekko.cluster.UniqueAddress;
import org.apache.pekko.cluster.ddata.DeltaReplicatedData;
import org.apache.pekko.cluster.ddata.FastMerge;
import org.apache.pekko.cluster.ddata.Flag;
import org.apache.pekko.cluster.ddata.GCounter;
import org.apache.pekko.cluster.ddata.LWWMap;
import org.apache.pekko.cluster.ddata.LWWRegister;
import org.apache.pekko.cluster.ddata.ORMultiMap;
import org.apache.pekko.cluster.ddata.ORSet;
import org.apache.pekko.cluster.ddata.PNCounter;
import org.apache.pekko.cluster.ddata.PNCounterMap;
import org.apache.pekko.cluster.ddata.ReplicatedData;
import org.apache.pekko.cluster.ddata.ReplicatedDelta;
import org.apache.pekko.cluster.ddata.SelfUniqueAddress;

/**
 * Plays traces with Pekko Distributed Data: one command a line on stdin, one answer a line on
 * stdout. `world` begins a new one, with a fourth word one whose steps are not answered by values;
 * `op` mutates a replica and keeps the delta; `state` keeps a copy of a replica's state; `delta` and
 * `merge` join what was kept into a replica; `measure` joins what was kept again and again. The
 * answer is the value of the replica that was touched.
 */
public final class PekkoTraces {
  private static final long NANOS = 1_000_000_000L;

  private String type = "";
  /** Whether steps are answered by values: of large ones they take longer than the steps. */
  private boolean tells = true;
  private final List<ReplicatedData> replicas = new ArrayList<>();
  private final List<ReplicatedData> states = new ArrayList<>();
  private final List<List<ReplicatedDelta>> deltas = new ArrayList<>();
  /** What a measurement joins, in this order, and the state that it begins with. */
  private final List<ReplicatedData> work = new ArrayList<>();
  private ReplicatedData start;

  public static void main(String[] args) throws IOException {
    BufferedReader in =
        new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
    PekkoTraces traces = new PekkoTraces();
    for (String line = in.readLine(); line != null; line = in.readLine()) {
      out.println(traces.answer(line.split("\t")));
      if (!in.ready()) out.flush();
    }
    out.flush();
  }

  private String answer(String[] words) {
    switch (words[0]) {
      case "world": {
        type = words[1];
        tells = words.length == 3;
        replicas.clear();
        states.clear();
        deltas.clear();
        work.clear();
        for (int i = 0; i < Integer.parseInt(words[2]); i++) {
          replicas.add(empty());
          deltas.add(new ArrayList<>());
        }
        return type;
      }
      case "op": {
        int at = Integer.parseInt(words[1]);
        ReplicatedData after = mutate(replicas.get(at), node(at), words);
        if (after instanceof DeltaReplicatedData) {
          DeltaReplicatedData data = (DeltaReplicatedData) after;
          deltas.get(at).add(data.delta().isEmpty() ? null : data.delta().get());
          after = data.resetDelta();
        }
        replicas.set(at, after);
        return told(after);
      }
      case "state":
        states.add(replicas.get(Integer.parseInt(words[1])));
        return String.valueOf(states.size() - 1);
      case "merge": {
        int at = Integer.parseInt(words[1]);
        ReplicatedData state = states.get(Integer.parseInt(words[2]));
        replicas.set(at, merge(replicas.get(at), state));
        return told(replicas.get(at));
      }
      case "delta": {
        int at = Integer.parseInt(words[1]);
        ReplicatedData delta = group(words, 2);
        if (delta != null) replicas.set(at, mergeDelta(replicas.get(at), delta));
        return told(replicas.get(at));
      }
      case "start":
        start = states.get(Integer.parseInt(words[1]));
        work.clear();
        return told(start);
      case "work-state":
        work.add(copy(states.get(Integer.parseInt(words[1]))));
        return String.valueOf(work.size());
      case "work-delta":
        work.add(group(words, 1));
        return String.valueOf(work.size());
      case "result":
        return value(joinAll(words[1].equals("delta")));
      case "measure":
        return measure(words[1].equals("delta"), Long.parseLong(words[2]));
      default:
        throw new IllegalArgumentException(words[0]);
    }
  }

  private String told(ReplicatedData data) {
    return tells ? value(data) : "";
  }

  /** The joined deltas from `from` to `to` of one replica, as its replicator would send them. */
  private ReplicatedData group(String[] words, int index) {
    List<ReplicatedDelta> all = deltas.get(Integer.parseInt(words[index]));
    ReplicatedData group = null;
    for (int i = Integer.parseInt(words[index + 1]); i <= Integer.parseInt(words[index + 2]); i++) {
      ReplicatedDelta next = all.get(i);
      if (next != null) group = group == null ? next : merge(group, next);
    }
    return group;
  }

  /** @return joins per second, for at least that long */
  private String measure(boolean isDelta, long millis) {
    long joins = 0;
    long spent = 0;
    while (spent < millis * 1_000_000L) {
      long begin = System.nanoTime();
      ReplicatedData end = joinAll(isDelta);
      spent += System.nanoTime() - begin;
      joins += work.size();
      // What nobody looks at the compiler may leave out.
      if (end == null) throw new IllegalStateException();
    }
    return String.valueOf((double) joins * NANOS / spent);
  }

  private ReplicatedData joinAll(boolean isDelta) {
    ReplicatedData state = start;
    if (isDelta) for (ReplicatedData delta : work) state = mergeDelta(state, delta);
    else for (ReplicatedData other : work) state = merge(state, other);
    return state;
  }

  private ReplicatedData empty() {
    switch (type) {
      case "gcounter": return GCounter.create();
      case "pncounter": return PNCounter.create();
      case "orset": return ORSet.create();
      case "register": return null;
      case "countermap": return PNCounterMap.create();
      case "registermap": return LWWMap.create();
      case "setmap": return ORMultiMap.emptyWithValueDeltas();
      case "flag": return Flag.create();
      default: throw new IllegalArgumentException(type);
    }
  }

  @SuppressWarnings("unchecked")
  private ReplicatedData mutate(ReplicatedData data, SelfUniqueAddress node, String[] words) {
    String what = words[2];
    switch (type) {
      case "gcounter": return ((GCounter) data).increment(node, Long.parseLong(what));
      case "pncounter": {
        long by = Long.parseLong(what);
        PNCounter counter = (PNCounter) data;
        return by < 0 ? counter.decrement(node, -by) : counter.increment(node, by);
      }
      case "orset": {
        ORSet<String> set = (ORSet<String>) data;
        if (what.equals("add")) return set.add(node, words[3]);
        return what.equals("remove") ? set.remove(node, words[3]) : set.clear(node);
      }
      case "register": {
        long stamp = Long.parseLong(what);
        LWWRegister.Clock<String> clock = (current, value) -> stamp;
        if (data == null) return LWWRegister.create(node, words[3], clock);
        return ((LWWRegister<String>) data).withValue(node, words[3], clock);
      }
      case "countermap": {
        PNCounterMap<String> map = (PNCounterMap<String>) data;
        if (what.equals("drop")) return map.remove(words[3], node);
        long by = Long.parseLong(words[4]);
        return by < 0 ? map.decrement(node, words[3], -by) : map.increment(node, words[3], by);
      }
      case "registermap": {
        LWWMap<String, String> map = (LWWMap<String, String>) data;
        if (what.equals("drop")) return map.remove(node, words[3]);
        long stamp = Long.parseLong(words[4]);
        return map.put(node, words[3], words[5], (current, value) -> stamp);
      }
      case "setmap": {
        ORMultiMap<String, String> map = (ORMultiMap<String, String>) data;
        if (what.equals("add")) return map.addBinding(node, words[3], words[4]);
        if (what.equals("remove")) return map.removeBinding(node, words[3], words[4]);
        return map.remove(node, words[3]);
      }
      case "flag": return ((Flag) data).switchOn();
      default: throw new IllegalArgumentException(type);
    }
  }

  @SuppressWarnings("unchecked")
  private String value(ReplicatedData data) {
    if (data == null) return "-";
    switch (type) {
      case "gcounter": return ((GCounter) data).getValue().toString();
      case "pncounter": return ((PNCounter) data).getValue().toString();
      case "orset": return String.join(",", new TreeSet<>(((ORSet<String>) data).getElements()));
      case "register": return ((LWWRegister<String>) data).getValue();
      case "countermap": return entries(((PNCounterMap<String>) data).getEntries());
      case "registermap": return entries(((LWWMap<String, String>) data).getEntries());
      case "setmap": {
        // A set whose last elements went at several replicas at once is left empty there.
        Map<String, String> sorted = new TreeMap<>();
        for (Map.Entry<String, ? extends Set<String>> entry :
            ((ORMultiMap<String, String>) data).getEntries().entrySet()) {
          if (entry.getValue().isEmpty()) continue;
          sorted.put(entry.getKey(), String.join("+", new TreeSet<>(entry.getValue())));
        }
        return entries(sorted);
      }
      case "flag": return ((Flag) data).enabled() ? "up" : "down";
      default: throw new IllegalArgumentException(type);
    }
  }

  private static String entries(Map<String, ?> map) {
    return new TreeMap<String, Object>(map)
        .entrySet().stream()
            .map(entry -> entry.getKey() + "=" + entry.getValue())
            .collect(Collectors.joining(","));
  }

  private static ReplicatedData merge(ReplicatedData a, ReplicatedData b) {
    if (a == null) return b;
    return b == null ? a : a.merge(b);
  }

  /** A register has no deltas, and neither has a flag: a state is its own. */
  private static ReplicatedData mergeDelta(ReplicatedData state, ReplicatedData delta) {
    return ((DeltaReplicatedData) state).mergeDelta((ReplicatedDelta) delta);
  }

  /** As from the wire: it does not know which state it came from. */
  private static ReplicatedData copy(ReplicatedData data) {
    return data instanceof FastMerge ? (ReplicatedData) ((FastMerge) data).clearAncestor() : data;
  }

  private static SelfUniqueAddress node(int index) {
    Address address = new Address("pekko", "judge", "replica-" + index, 7355);
    return new SelfUniqueAddress(new UniqueAddress(address, index + 1L));
  }
}
