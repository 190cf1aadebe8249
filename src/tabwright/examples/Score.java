// Score an exported model in Java. NOT RUN by this project's tests: no JDK is among their tools.
// Needs com.microsoft.onnxruntime:onnxruntime and com.fasterxml.jackson.core:jackson-databind on the class path;
// run in this folder: java -cp '…' Score.java ../@MODEL@
import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtSession;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.File;
import java.nio.DoubleBuffer;
import java.time.Instant;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;

public class Score {
    /** NaN for a missing value, 0 and 1 for false and true, seconds since 1970 UTC for a date. */
    static double number(JsonNode value, String kind) {
        if (value == null || value.isNull()) return Double.NaN;
        if (kind.equals("datetime")) {
            Instant moment = Instant.parse(value.asText());
            return moment.getEpochSecond() + moment.getNano() / 1e9;
        }
        return value.isBoolean() ? (value.asBoolean() ? 1 : 0) : value.asDouble();
    }

    public static void main(String[] arguments) throws Exception {
        ObjectMapper json = new ObjectMapper();
        JsonNode inputs = json.readTree(new File("schema.json")).get("inputs"), rows = json.readTree(new File("rows.json"));
        JsonNode numberColumns = inputs.get("numbers"), stringColumns = inputs.get("strings");
        double[] numbers = new double[rows.size() * numberColumns.size()];
        String[] strings = new String[rows.size() * stringColumns.size()];
        int n = 0, s = 0;
        for (JsonNode row : rows) {
            for (JsonNode column : numberColumns)
                numbers[n++] = number(row.get(column.get("name").asText()), column.get("kind").asText());
            for (JsonNode column : stringColumns) {  // the empty string stands for a missing category or text
                JsonNode value = row.get(column.get("name").asText());
                strings[s++] = value == null || value.isNull() ? "" : value.asText();
            }
        }
        OrtEnvironment environment = OrtEnvironment.getEnvironment();
        String path = arguments.length > 0 ? arguments[0] : "../@MODEL@";
        try (OrtSession session = environment.createSession(path, new OrtSession.SessionOptions())) {
            Map<String, OnnxTensor> feeds = new HashMap<>();
            if (numberColumns.size() > 0)
                feeds.put("numbers", OnnxTensor.createTensor(environment, DoubleBuffer.wrap(numbers),
                                                             new long[] {rows.size(), numberColumns.size()}));
            if (stringColumns.size() > 0)
                feeds.put("strings", OnnxTensor.createTensor(environment, strings,
                                                             new long[] {rows.size(), stringColumns.size()}));
            try (OrtSession.Result found = session.run(feeds)) {
                if (found.get("prediction").isPresent())
                    System.out.println(Arrays.toString((double[]) found.get("prediction").get().getValue()));
                else
                    System.out.println(Arrays.deepToString((double[][]) found.get("probabilities").get().getValue()));
            }
        }
    }
}
