//! What the person is asked in each phase.

use domain::Words;
use gate::barrier::managed::Output;

use super::{Action, Phase, Question, Session};
use crate::doctor::plan::Item;
use crate::doctor::texts;

impl Session {
    /// Asks what the phase waits for; nothing where it waits for no person.
    pub(super) fn ask_again(&self, out: &mut Vec<Action>) {
        let asked = self
            .general_question()
            .or_else(|| self.input_question())
            .or_else(|| self.output_question());
        out.extend(asked.map(|(question, words)| Action::Ask(question, words)));
    }

    fn general_question(&self) -> Option<(Question, Words)> {
        Some(match &self.phase {
            Phase::Name => (
                Question::Name,
                Words::new(
                    "请输入您的姓名（写进调试记录）",
                    "Your name, for the record",
                ),
            ),
            Phase::NobodyBelow => (
                Question::NobodyBelow,
                Words::new(
                    "请确认：闸杆下和闸杆旁没有人、没有车，车道已拦好，有人看着闸杆。可以开始吗？",
                    "Is nobody and nothing below or beside the booms, the lane closed, and somebody \
                     watching? May we begin?",
                ),
            ),
            Phase::Watching { look, .. } => {
                let seen = texts::look_words(look);
                (
                    Question::Picture,
                    Words::new(
                        format!(
                            "{}。是这个车道的摄像机吗？有车时车牌读对了吗？（r 重新看）",
                            seen.chinese
                        ),
                        format!(
                            "{}. Is it this lane's camera, and are the plates right where a car \
                             stands? (r looks again)",
                            seen.english
                        ),
                    ),
                )
            }
            Phase::Further => (
                Question::Further,
                Words::new(
                    "修好后输入 r 再试一次；按回车继续下一项",
                    "Put it right and type r to try again; Enter goes on",
                ),
            ),
            _ => return None,
        })
    }

    fn input_question(&self) -> Option<(Question, Words)> {
        let (_, input) = self.input()?;
        Some(match &self.phase {
            Phase::AtRest => {
                let rest = texts::rest(&input.line);
                (
                    Question::AtRest,
                    Words::new(
                        format!("现在应当是：{}。是这样吗？", rest.chinese),
                        format!("It should be so now: {}. Is it?", rest.english),
                    ),
                )
            }
            Phase::Activate { .. } => (Question::Activate, texts::activate(&input.line)),
            Phase::LetGo { .. } => (Question::LetGo, texts::let_go(&input.line)),
            _ => return None,
        })
    }

    fn output_question(&self) -> Option<(Question, Words)> {
        let Item::Output { barrier, output } = *self.plan.items.get(self.at)? else {
            return None;
        };
        Some(match &self.phase {
            Phase::StandsStill => (
                Question::StandsStill,
                Words::new(
                    "继电器已断开。闸杆静止、没有自己动吗？",
                    "The relay is released. Does the boom stand still, without having moved by itself?",
                ),
            ),
            Phase::MayMove { .. } => {
                let plan = &self.plan.barriers[barrier];
                let (chinese, english) = texts::movement(output);
                let (name, ms) = (&plan.name, plan.pulse.as_millis());
                (
                    Question::MayMove { barrier, output },
                    Words::new(
                        format!(
                            "道闸 {name} 的闸杆将要{chinese}（脉冲 {ms} 毫秒）。下面没有人和车吗？现在动吗？"
                        ),
                        format!(
                            "The boom of barrier {name} will {english} (a pulse of {ms} ms). Is nobody \
                             and nothing below it? Now?"
                        ),
                    ),
                )
            }
            Phase::Moved { .. } => (
                Question::Moved,
                if output == Output::Close {
                    Words::new("闸杆落下了吗？", "Did the boom come down?")
                } else {
                    Words::new("闸杆抬起了吗？", "Did the boom rise?")
                },
            ),
            _ => return None,
        })
    }
}
