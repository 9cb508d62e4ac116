"""What somebody would write with redis-py; see ../README.md."""

import json
import sys
import threading
import time

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

PORT, TOKEN, PREFIX = int(sys.argv[1]), sys.argv[2], sys.argv[3]
CONNECTIONS, PIPELINES, PIPELINED, ROUNDS = 6, 5, 40, 15


def check(ok, what):
    if not ok:
        print(what, file=sys.stderr)
        sys.stderr.flush()
        import os

        os._exit(1)


def client(protocol, token=TOKEN):
    """Commands are not repeated by the client itself, so that what was not answered is known."""
    return redis.Redis(
        port=PORT,
        password=token,
        protocol=protocol,
        client_name="judge",
        single_connection_client=True,
        retry=Retry(NoBackoff(), 0),
        decode_responses=True,
    )


def refusal(work):
    try:
        work()
    except redis.RedisError as error:
        return f"{type(error).__name__} {error}"
    return "no refusal"


def connect(protocol):
    with client(protocol) as one:
        check(one.ping(), "PING")
        check(one.client_id() > 0, "CLIENT ID")
        check(one.client_getname() == "judge", "CLIENT GETNAME")
        check(one.info()["role"] == "master", "INFO")
        check(one.command_count() > 10, "COMMAND COUNT")
    wrong = refusal(lambda: client(protocol, "wrong").ping())
    check("AuthenticationError" in wrong and "invalid" in wrong, f"a wrong token: {wrong}")
    none = refusal(lambda: client(protocol, None).ping())
    check("Authentication required" in none, f"no token: {none}")


def types(protocol):
    with client(protocol) as one:
        do, name = one.execute_command, f"{PREFIX}-set-{protocol}"
        check(do("CRDT.SADD", name, "a", "b", "ü c") == 3, "SADD")
        check(do("CRDT.SREM", name, "a") == 1, "SREM")
        check(do("CRDT.SISMEMBER", name, "b") == 1, "SISMEMBER")
        check(set(do("CRDT.SMEMBERS", name)) == {"b", "ü c"}, "SMEMBERS")
        register = f"{PREFIX}-register-{protocol}"
        check(do("CRDT.SET", register, "line\r\n") in ("OK", b"OK"), "SET")
        check(do("CRDT.READ", register) == "line\r\n", "READ")
        check(do("CRDT.READ", f"{register}-none") is None, "a register that nobody wrote")
        wrong = refusal(lambda: do("CRDT.INCR", name, 1))
        check("WRONGTYPE" in wrong, f"WRONGTYPE: {wrong}")
        number = refusal(lambda: do("CRDT.INCR", name, "one"))
        check("value is not an integer" in number, f"ERR: {number}")
        view = do("CRDT.MEMBERS")
        members = view["members"] if protocol == 3 else view[5]
        check(len(members) == 3, f"MEMBERS: {view}")


def each(protocol, work):
    """On connections of their own, which the balancer spreads over all replicas."""
    ones = [client(protocol) for _ in range(CONNECTIONS)]
    for one in ones:
        one.ping()
    threads = [threading.Thread(target=guarded, args=(work, i, one)) for i, one in enumerate(ones)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one in ones:
        one.close()


def guarded(work, worker, one):
    try:
        work(worker, one)
    except Exception as error:
        check(False, f"worker {worker}: {error!r}")


def count(protocol):
    def work(worker, one):
        for i in range(PIPELINES):
            pipe = one.pipeline(transaction=False)
            for j in range(PIPELINED):
                pipe.execute_command("CRDT.INCR", f"{PREFIX}-plain", 1)
                op_id = f"{protocol}-{worker}-{i}-{j // 2}"
                pipe.execute_command("CRDT.INCR", f"{PREFIX}-ops", 2, "OPID", op_id)
            check(len(pipe.execute()) == 2 * PIPELINED, "a pipeline")

    each(protocol, work)


def session():
    ones = [client(3) for _ in range(3)]
    name = f"{PREFIX}-session"
    for i in range(ROUNDS):
        writer, reader = ones[i % 3], ones[(i + 1) % 3]
        writer.execute_command("CRDT.INCR", name, 1)
        token = writer.execute_command("CRDT.TOKEN")
        while refusal(lambda: reader.execute_command("CRDT.AFTER", token)) != "no refusal":
            pass
        value = reader.execute_command("CRDT.GET", name)
        check(value == i + 1, f"read {value} after {i + 1} writes")


def killed():
    lock, unanswered = threading.Lock(), []
    state = {"acknowledged": 0, "cut_at": None, "told": False}
    deadline = time.monotonic() + 20

    def work(worker, one):
        i = 0
        while True:
            op_id = f"killed-{worker}-{i}"
            i += 1
            try:
                one.execute_command("CRDT.INCR", f"{PREFIX}-killed", 1, "OPID", op_id)
                is_good = True
            except redis.RedisError:
                is_good = False
            with lock:
                if is_good:
                    state["acknowledged"] += 1
                else:
                    unanswered.append(op_id)
                    state["cut_at"] = state["cut_at"] or time.monotonic()
                if state["acknowledged"] > 100 and not state["told"]:
                    state["told"] = True
                    print("counting", flush=True)
            check(time.monotonic() < deadline, "nobody was cut off")
            if state["cut_at"] and time.monotonic() - state["cut_at"] > 0.5:
                return
            time.sleep(0.001)

    each(3, work)
    print("cut", flush=True)
    sys.stdin.readline()
    with client(2) as one:
        for op_id in unanswered:
            one.execute_command("CRDT.INCR", f"{PREFIX}-killed", 1, "OPID", op_id)
    return state["acknowledged"] + len(unanswered), len(unanswered)


for version in (2, 3):
    connect(version)
    types(version)
    count(version)
session()
total, repeated = killed()
once = 2 * CONNECTIONS * PIPELINES * PIPELINED
totals = {"plain": once, "ops": once, "session": ROUNDS, "killed": total, "repeated": repeated}
print(json.dumps(totals), flush=True)
