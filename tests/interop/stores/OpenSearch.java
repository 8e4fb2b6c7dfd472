import java.util.List;
import java.util.Map;
import org.opensearch.common.settings.Settings;
import org.opensearch.node.InternalSettingsPreparer;
import org.opensearch.node.Node;
import org.opensearch.painless.PainlessPlugin;
import org.opensearch.transport.Netty4Plugin;

/** Runs one node of OpenSearch from its jars: DIRECTORY, the port of HTTP, that of the transport. */
public class OpenSearch extends Node {
    OpenSearch(Settings settings) {
        super(InternalSettingsPreparer.prepareEnvironment(settings, Map.of(), null, () -> "test"),
            List.of(Netty4Plugin.class, PainlessPlugin.class), false);
    }

    public static void main(String[] words) throws Exception {
        Node node = new OpenSearch(Settings.builder()
            .put("path.home", words[0])
            .put("network.host", "127.0.0.1")
            .put("http.port", words[1])
            .put("transport.port", words[2])
            .put("discovery.type", "single-node")
            .put("node.store.allow_mmap", false)
            .put("cluster.routing.allocation.disk.threshold_enabled", false)
            .build());
        node.start();
        Thread.currentThread().join();
    }
}
