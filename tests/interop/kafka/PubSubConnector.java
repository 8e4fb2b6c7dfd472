import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.connect.converters.ByteArrayConverter;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.data.SchemaBuilder;
import org.apache.kafka.connect.data.Struct;
import org.apache.kafka.connect.json.JsonConverter;
import org.apache.kafka.connect.storage.Converter;

/**
 * Writes what Google's connector for Pub/Sub does: BROKER, and a FILE with an entry of the log a line.
 *
 * <p>A sink of Cloud Logging gives each message an attribute. The connector (CloudPubSubSourceTask, 1.3.2)
 * makes a struct of both, or bytes where kafka.record.headers is set; Connect's own converters, which
 * run here, make the message. The topics are called after them.
 */
public class PubSubConnector {
    private static final String ATTRIBUTE = "logging.googleapis.com/timestamp";
    private static final Schema STRUCT = SchemaBuilder.struct()
        .field("message", Schema.BYTES_SCHEMA).field(ATTRIBUTE, Schema.STRING_SCHEMA).build();

    public static void main(String[] words) throws Exception {
        var bytes = new ByteArraySerializer();
        try (var producer = new KafkaProducer<>(Map.of("bootstrap.servers", words[0]), bytes, bytes)) {
            for (String line : Files.readAllLines(Path.of(words[1]))) {
                byte[] entry = line.getBytes("UTF-8");
                Struct both = new Struct(STRUCT).put("message", entry).put(ATTRIBUTE, "2026-01-02T03:04:05Z");
                send(producer, "gke-schema", json(true), STRUCT, both);
                send(producer, "gke-json", json(false), STRUCT, both);
                send(producer, "gke-bytes", new ByteArrayConverter(), Schema.BYTES_SCHEMA, entry);
                send(producer, "gke-bytes-schema", json(true), Schema.BYTES_SCHEMA, entry);
            }
        }
    }

    private static Converter json(boolean schemas) {
        Map<String, Object> options = new HashMap<>(Map.of("schemas.enable", schemas));
        Converter made = new JsonConverter();
        made.configure(options, false);
        return made;
    }

    private static void send(
            KafkaProducer<byte[], byte[]> producer, String topic, Converter with, Schema schema, Object value)
            throws Exception {
        var record = new ProducerRecord<byte[], byte[]>(
            topic, 0, null, null, with.fromConnectData(topic, schema, value));
        record.headers().add(ATTRIBUTE, "2026-01-02T03:04:05Z".getBytes("UTF-8"));
        producer.send(record).get();
    }
}
