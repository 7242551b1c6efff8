/** An event of a `text/event-stream`. */
export interface StreamedEvent {
  /** `message` where the stream does not say. */
  type: string;
  data: string;
  /** The last id that the stream has given, to this event or one before: where to go on from. */
  lastEventId: string;
}

/**
 * Reads a body as the HTML standard says (9.2.6, "Interpreting an event stream"), but for `retry`: who reads decides
 * when to come back. An event that is not whole at the end is dropped. Who stops reading cancels the body.
 */
export async function* readEventStream(
  body: ReadableStream<Uint8Array>,
): AsyncGenerator<StreamedEvent, void, void> {
  const reader = body.getReader();
  // It leaves out a byte order mark, and puts a sign in the place of what is not UTF-8.
  const decoder = new TextDecoder();
  const lines = createLineSplitter();
  const events = createEventParser();
  try {
    for (let chunk = await reader.read(); !chunk.done; chunk = await reader.read()) {
      for (const line of lines(decoder.decode(chunk.value, { stream: true }))) {
        const event = events(line);
        if (event) yield event;
      }
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}

/** Lines end with CR, LF, or both, which may come in two pieces. Only what is new is searched: a line may be long. */
function createLineSplitter(): (text: string) => string[] {
  let begun = '';
  let endedWithCr = false;
  return (text) => {
    const rest = endedWithCr && text.startsWith('\n') ? text.slice(1) : text;
    if (text !== '') endedWithCr = text.endsWith('\r');
    const [first = '', ...others] = rest.split(/\r\n|\r|\n/);
    begun += first;
    const last = others.pop();
    if (last === undefined) return [];
    const whole = [begun, ...others];
    begun = last;
    return whole;
  };
}

/** Takes a line, and gives the event that it ends. */
function createEventParser(): (line: string) => StreamedEvent | undefined {
  let type = '';
  let data: string[] = [];
  let lastEventId = '';
  return (line) => {
    if (line === '') {
      const event = { type: type || 'message', data: data.join('\n'), lastEventId };
      const hasData = data.length > 0;
      type = '';
      data = [];
      return hasData ? event : undefined;
    }
    const colon = line.indexOf(':');
    // A line that begins with one is a comment.
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(line[colon + 1] === ' ' ? colon + 2 : colon + 1);
    if (field === 'event') type = value;
    else if (field === 'data') data.push(value);
    else if (field === 'id' && !value.includes('\0')) lastEventId = value;
    return undefined;
  };
}
