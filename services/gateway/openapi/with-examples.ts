import type { Example, Examples } from './examples/example.ts';

type Shown = Record<string, { summary: string; value: unknown }>;
interface Exampled {
  example?: unknown;
  examples?: Shown;
}
interface Operation {
  operationId?: string;
  parameters?: (Exampled & { name: string; schema?: { type?: string } })[];
  requestBody?: { content: Record<string, Exampled> };
  responses: Record<string, { content?: Record<string, Exampled> }>;
}

/** Puts each example where OpenAPI has it: at parameters, request body and reply, under one name. */
export function addExamples(document: { paths?: object }, examples: Examples): void {
  for (const path of Object.values(document.paths ?? {})) {
    for (const operation of Object.values(path as Record<string, Operation>)) {
      for (const example of examples[operation.operationId ?? ''] ?? []) show(operation, example);
    }
  }
}

function show(operation: Operation, example: Example): void {
  const { parameters = {}, body, mediaType = 'application/json', status, reply } = example;
  for (const parameter of operation.parameters ?? []) {
    const value = parameters[parameter.name];
    if (value !== undefined) add(parameter, example, typed(value, parameter.schema?.type));
  }
  const content = operation.requestBody?.content[mediaType];
  // A file is no value that a document could hold.
  if (content && body !== undefined) add(content, example, body);
  const { [status]: ofStatus = operation.responses.default } = operation.responses;
  const { 'text/event-stream': events, ...others } = ofStatus?.content ?? {};
  const replied = example.interactiveId === undefined ? (Object.values(others)[0] ?? events) : events;
  if (replied && reply !== undefined) add(replied, example, reply);
}

/** OpenAPI allows one of `example` and `examples`. */
function add(place: Exampled, { name, summary }: Example, value: unknown) {
  delete place.example;
  place.examples = { ...place.examples, [name]: { summary, value } };
}

/** A path or a query is text; that it is a number there, its schema says. */
function typed(value: string, type: string | undefined): string | number {
  return type === 'integer' || type === 'number' ? Number(value) : value;
}
