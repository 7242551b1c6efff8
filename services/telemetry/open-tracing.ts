import { hostname } from 'node:os';
import { parseOtlpHeaders } from './otlp-headers.ts';
import { noTracing, type Tracing } from './tracing.ts';

export interface TracingOptions {
  /** Base address of an OTLP/HTTP collector, such as `http://127.0.0.1:4318`; empty: there is none. */
  endpoint: string;
  /** What it is to be sent with, as `parseOtlpHeaders` reads it. */
  headers?: string;
  service: 'gateway' | 'worker';
}

/** OpenTelemetry's code is loaded only where there is somebody to send to. */
export async function openTracing({ endpoint, headers = '', service }: TracingOptions): Promise<Tracing> {
  if (endpoint === '') return noTracing;
  const { createOtlpTracing } = await import('./otlp-tracing.ts');
  return createOtlpTracing({
    url: `${endpoint.replace(/\/+$/, '')}/v1/traces`,
    headers: parseOtlpHeaders(headers),
    resource: {
      'service.name': `oncebox-${service}`,
      'service.namespace': 'oncebox',
      'service.instance.id': `${hostname()}-${process.pid}`,
    },
  });
}
