/**
 * Headers as OTEL_EXPORTER_OTLP_HEADERS has them (OpenTelemetry's exporter specification): `name=value` with commas, the values
 * percent-encoded as in W3C Baggage. Throws on what is no header, without a word of it: its value may be a key.
 */
export function parseOtlpHeaders(text: string): Record<string, string> {
  const pairs = text.split(',').filter((pair) => pair.trim() !== '');
  const headers = new Headers();
  for (const pair of pairs) {
    const [, name = '', value = ''] = /^\s*([^=\s]+)\s*=(.*)$/.exec(pair) ?? [];
    try {
      headers.set(name, decodeURIComponent(value.trim()));
    } catch {
      throw new Error('not headers: name=value pairs with commas, values percent-encoded');
    }
  }
  return Object.fromEntries(headers);
}
