# What must differ between two runs: random numbers of all kinds, ids, names of temporary files, the seed of hashes.
import json, os, random, secrets, ssl, tempfile, uuid

print(json.dumps({
    "random": random.random(), "randint": random.randint(0, 2**60), "system": random.SystemRandom().random(),
    "uuid4": str(uuid.uuid4()), "uuid1": str(uuid.uuid1()), "secret": secrets.token_hex(8),
    "urandom": os.urandom(8).hex(), "openssl": ssl.RAND_bytes(8).hex(), "name": tempfile.mktemp(),
    "another name": next(tempfile._get_candidate_names()), "random of another": random.Random().random(),
    "hash": hash("oncebox"),
}))
