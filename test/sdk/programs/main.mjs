import { createClient, OnceboxError } from '@oncebox/sdk';
import { tour } from './tour.mjs';

const [url] = process.argv.slice(2);
console.log(JSON.stringify(await tour(createClient(url), OnceboxError)));
