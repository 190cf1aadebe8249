// Score an exported model in C#. NOT RUN by this project's tests: no .NET is among their tools.
// dotnet add package Microsoft.ML.OnnxRuntime; run in this folder: dotnet run ../@MODEL@
using System.Globalization;
using System.Text.Json;
using Microsoft.ML.OnnxRuntime;
using Microsoft.ML.OnnxRuntime.Tensors;

// NaN for a missing value, 0 and 1 for false and true, seconds since 1970 UTC for a date
static double Number(JsonElement value, string kind) => value.ValueKind switch
{
    JsonValueKind.Null => double.NaN,
    JsonValueKind.True => 1,
    JsonValueKind.False => 0,
    JsonValueKind.String when kind == "datetime" =>
        (DateTimeOffset.Parse(value.GetString()!, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal)
            - DateTimeOffset.UnixEpoch).TotalSeconds,
    _ => value.GetDouble(),
};

var inputs = JsonDocument.Parse(File.ReadAllText("schema.json")).RootElement.GetProperty("inputs");
var rows = JsonDocument.Parse(File.ReadAllText("rows.json")).RootElement.EnumerateArray().ToArray();
var numberColumns = inputs.GetProperty("numbers").EnumerateArray().ToArray();
var stringColumns = inputs.GetProperty("strings").EnumerateArray().ToArray();
string Name(JsonElement column) => column.GetProperty("name").GetString()!;

var feeds = new List<NamedOnnxValue>();
if (numberColumns.Length > 0)
{
    var values = rows.SelectMany(row => numberColumns.Select(
        c => Number(row.GetProperty(Name(c)), c.GetProperty("kind").GetString()!))).ToArray();
    feeds.Add(NamedOnnxValue.CreateFromTensor("numbers",
        new DenseTensor<double>(values, new[] { rows.Length, numberColumns.Length })));
}
if (stringColumns.Length > 0)
{
    // the empty string stands for a missing category or text
    var texts = rows.SelectMany(row => stringColumns.Select(c => row.GetProperty(Name(c)).GetString() ?? "")).ToArray();
    feeds.Add(NamedOnnxValue.CreateFromTensor("strings",
        new DenseTensor<string>(texts, new[] { rows.Length, stringColumns.Length })));
}
using var session = new InferenceSession(args.Length > 0 ? args[0] : "../@MODEL@");
using var found = session.Run(feeds);
var output = found.First(o => o.Name is "prediction" or "probabilities");
Console.WriteLine(string.Join(", ", output.AsEnumerable<double>()));
