//! What a person is asked to do at each input.

use domain::Words;
use gate::line::Line;

/// What an input is like at rest.
pub(super) fn rest(line: &Line) -> Words {
    match line {
        Line::ArrivalLoop(_) => Words::new(
            "地感上没有车，旁边没有铁器",
            "no vehicle on the loop and no iron near it",
        ),
        Line::SafetyLoop => Words::new(
            "闸杆下没有车，也没有铁器",
            "no vehicle and no iron under the boom",
        ),
        Line::LightBeam => Words::new(
            "光电对射之间没有遮挡",
            "nothing between the beam's two ends",
        ),
        Line::GuardButton => Words::new("没有人按按钮", "nobody presses the button"),
        Line::Fire => Words::new("没有火警，消防线接好", "no fire alarm, its wires connected"),
        Line::Stop => Words::new("急停没有按下", "STOP is not pressed"),
        Line::OpenedLimit => Words::new(
            "闸杆没有升到位（落下，或停在中间）",
            "the boom is not fully up (down, or halfway)",
        ),
        Line::ClosedLimit => Words::new(
            "闸杆没有落到位（升起，或停在中间）",
            "the boom is not fully down (up, or halfway)",
        ),
    }
}

/// How to make an input active.
pub(super) fn activate(line: &Line) -> Words {
    match line {
        Line::ArrivalLoop(lane) => Words::new(
            format!("请把一辆车开到车道 {lane} 的闸前地感上（或放一块大铁板）"),
            format!(
                "Drive a car onto the loop before the boom of lane {lane} (or lay a large iron plate on it)"
            ),
        ),
        Line::SafetyLoop => Words::new(
            "请把大铁板（或小车）放到闸杆下的地感上。人不要站在闸杆下",
            "Lay a large iron plate (or a trolley) on the loop under the boom. Stand beside the boom, not under it",
        ),
        Line::LightBeam => Words::new(
            "请用纸板挡住光电对射",
            "Cover the light beam with cardboard",
        ),
        Line::GuardButton => Words::new(
            "请按住门卫的开闸按钮（调试期间按了不会开闸）",
            "Press the guard's OPEN button and hold it (it opens nothing while this runs)",
        ),
        Line::Fire => Words::new(
            "请让消防触点动作：按测试钮，或拔下一根线（调试期间不会开闸）",
            "Make the fire contact act: press its test button, or take a wire off (it opens nothing while this runs)",
        ),
        Line::Stop => Words::new("请按下急停", "Press STOP"),
        Line::OpenedLimit => Words::new(
            "请用道闸自己的按钮或遥控器把闸杆升到位。下面不要站人",
            "Raise the boom fully with the barrier's own button or remote control. Nobody below it",
        ),
        Line::ClosedLimit => Words::new(
            "请用道闸自己的按钮或遥控器把闸杆落到位。下面不要站人",
            "Lower the boom fully with the barrier's own button or remote control. Nobody below it",
        ),
    }
}

/// How to let it rest again.
pub(super) fn let_go(line: &Line) -> Words {
    match line {
        Line::ArrivalLoop(_) | Line::SafetyLoop => Words::new(
            "看到变化了。请把车或铁板移开",
            "Seen. Take the car or the plate away",
        ),
        Line::LightBeam => Words::new("看到变化了。请拿开纸板", "Seen. Take the cardboard away"),
        Line::GuardButton => Words::new("看到变化了。请松开按钮", "Seen. Let go of the button"),
        Line::Fire => Words::new(
            "看到变化了。请把消防触点恢复",
            "Seen. Put the fire contact back",
        ),
        Line::Stop => Words::new("看到变化了。请把急停旋开复位", "Seen. Unlock STOP"),
        Line::OpenedLimit => Words::new(
            "看到变化了。请让闸杆离开升到位的位置",
            "Seen. Let the boom leave its upper end",
        ),
        Line::ClosedLimit => Words::new(
            "看到变化了。请让闸杆离开落到位的位置",
            "Seen. Let the boom leave its lower end",
        ),
    }
}

/// The key of an input in the configuration, with the table it stands in.
pub(super) fn key(line: &Line, barrier: &str) -> String {
    match line {
        Line::ArrivalLoop(lane) => format!("[[lane]] {lane}: arrival_loop"),
        other => format!("[[barrier]] {barrier}: {other}"),
    }
}
