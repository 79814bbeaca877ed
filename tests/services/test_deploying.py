from tests.services.conftest import House
from tests.support.score import score


def test_an_application_comes_to_be_in_order_and_goes_in_reverse(house: House) -> None:
    made = house.submit(score(db="database", cache={"type": "cache", "params": {"note": "${resources.db.host}"}}))
    assert made.plan is not None
    assert [item.name for item in made.plan.items] == ["db", "cache", "workload"]
    house.rest()
    assert house.status("shop") == "active"
    assert house.resources("shop")["cache"].outputs["seen"] == "shop.db.test"
    gone = house.delete("shop")
    assert gone.plan is not None
    assert [item.name for item in gone.plan.items] == ["workload", "cache", "db"]
    house.rest()
    assert house.states("shop") == {}
